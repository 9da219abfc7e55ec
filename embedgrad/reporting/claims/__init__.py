"""Every number of the paper's Sections 4 and 5, recomputed: from the paper's own table, and from a run's cells."""

from embedgrad.reporting.claims.check import FAILS, HOLDS, OPEN, check_claims, read_claims, write_claims
