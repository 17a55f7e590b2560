"""What moves with the role beside addresses on an interface: one module or package for each kind.

The contract is in `base`, the table of kinds in `registry`; `driver` owns everything that has to do with time.
"""
