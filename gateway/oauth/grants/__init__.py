"""The grants, one a file: what is checked, and what is given out."""
