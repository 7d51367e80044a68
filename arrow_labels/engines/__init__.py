"""Engines that spread the work over many processes and machines: one module each, none imported by the package."""
