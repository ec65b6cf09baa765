"""Human judgments: kept in one SQLite file, written and read as NIGHTS columns or a plain CSV, with a data card."""

from percept.data.judgments.card import data_card
from percept.data.judgments.file import JudgmentError
from percept.data.judgments.nights import export_nights, import_nights
from percept.data.judgments.rows import TASKS, AnsweredError, answers_of, checked_answer
from percept.data.judgments.store import Judgments, Progress
from percept.data.judgments.table import export_csv, import_csv
from percept.data.judgments.votes import coded, pairs_table, ratings_table, tally

__all__ = [
    "TASKS",
    "AnsweredError",
    "JudgmentError",
    "Judgments",
    "Progress",
    "answers_of",
    "checked_answer",
    "coded",
    "data_card",
    "export_csv",
    "export_nights",
    "import_csv",
    "import_nights",
    "pairs_table",
    "ratings_table",
    "tally",
]
