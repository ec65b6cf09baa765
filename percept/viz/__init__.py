"""Figures: one function per figure, each returns a matplotlib Figure and never shows it."""
