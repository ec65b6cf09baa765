"""Human judgments and descriptions: kept in one SQLite file, written in published forms, each with a data card."""

from percept.data.judgments.card import data_card
from percept.data.judgments.descriptions import export_captions, export_regions
from percept.data.judgments.entries import Entry
from percept.data.judgments.file import JudgmentError
from percept.data.judgments.nights import export_nights, import_nights
from percept.data.judgments.rows import TASKS, AnsweredError, answers_of, checked_answer
from percept.data.judgments.store import Judgments, Progress
from percept.data.judgments.table import export_csv, import_csv
from percept.data.judgments.votes import coded, descriptions_table, pairs_table, ratings_table, tally

__all__ = [
    "TASKS",
    "AnsweredError",
    "Entry",
    "JudgmentError",
    "Judgments",
    "Progress",
    "answers_of",
    "checked_answer",
    "coded",
    "data_card",
    "descriptions_table",
    "export_captions",
    "export_csv",
    "export_nights",
    "export_regions",
    "import_csv",
    "import_nights",
    "pairs_table",
    "ratings_table",
    "tally",
]
