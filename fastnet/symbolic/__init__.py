"""Formulas written as array code: traced to a graph of operations, differentiated, and written as rules of kernels."""
