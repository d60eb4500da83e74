"""What a pruned network takes and saves once it is used: numbers, multiply-adds, bytes, time."""
