"""Figures in one house style; every function returns a Figure and shows nothing."""
