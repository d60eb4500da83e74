"""Accuracy of pruned backbones."""
