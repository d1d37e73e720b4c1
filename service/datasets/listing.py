"""What is said of all data sets."""

from service.datasets.changes import read_reports
from service.datasets.schemas import Datasets, DatasetSummary
from service.datasets.store import KNOWN
from service.datasets.store import Datasets as DatasetsThere


def describe_datasets(store: DatasetsThere) -> Datasets:
    """What `GET /v1/datasets` answers."""
    fields = set(DatasetSummary.model_fields)
    summaries = [DatasetSummary(**report.model_dump(include=fields)) for report in read_reports(store)]
    return Datasets(datasets=summaries, known=[name for name in KNOWN if name not in ("folder", "npz")])
