"""What the tables say: retention, the verdicts on P1 and P2, the summary. No torch."""
