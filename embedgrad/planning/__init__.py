"""What a run will take, and what it lacks, before anything of it runs."""

from embedgrad.planning.access import Access, look_up
from embedgrad.planning.forecast import CellForecast, forecast
from embedgrad.planning.machines import CARDS, Machine, named_card, this_machine

__all__ = ["CARDS", "Access", "CellForecast", "Machine", "forecast", "look_up", "named_card", "this_machine"]
