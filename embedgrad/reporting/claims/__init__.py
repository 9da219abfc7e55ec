"""Every number of the paper's Sections 4 and 5, recomputed: from the paper's own table, and from a run's cells."""

from embedgrad.reporting.claims.check import check_claims, check_rival_claims, read_claims, write_claims
from embedgrad.reporting.claims.measured import COMPATIBLE, FAILS, HOLDS, INCONCLUSIVE, NOT_TESTABLE, OPEN
