"""The verbs of prediction that pages and command line share."""

from __future__ import annotations

from advisor.evidence import catalogue
from advisor.evidence.store import Store
from advisor.predict import profile_files, profiling
from advisor.predict.profile import Profiles, joined
from advisor.predict.profiling import BuildReport
from advisor.workflows import DATA, home

_JOURNAL = "profiles.part.jsonl"


def build_profiles(store: Store, progress: profiling.BuildProgress) -> BuildReport:
    """Count the operators of all timm architectures and write data/profiles.*, in a child process.

    At their native sizes, at those that timm tests weights at, and at those with a published speed or accuracy; what
    the user measured or imported does not count, so that everyone builds the same files.
    """
    weights = store.frame("catalogue")
    tested = weights.assign(img_size=weights["test_img_size"])
    results = (store.query("speed_rows", device_ids=[]), store.query("accuracy_rows"))
    published = (rows[(rows["evidence"] == "published") & ~rows["suspect"].astype(bool)] for rows in results)
    native = [(row.architecture, row.img_size) for row in catalogue.load_architectures(DATA / "architectures.csv")]
    sized = profiling.asked_of((name for name, _ in native), weights, tested, *published)
    asked = sorted({*native, *sized})
    return profiling.build(asked, profile_files.FOLDER, journal=home() / _JOURNAL, progress=progress)


def profiles(*also: tuple[str, int]) -> Profiles:
    """The shipped cost profiles, with those of other (architecture, image size) counted now, seconds each.

    Raises:
        DataError: The shipped files are missing or broken.
        UnknownName: timm lists no such architecture.
        BadQuestion: A network does not take that size.
    """
    found = profile_files.load()
    for architecture, img_size in also:
        if (architecture, img_size) not in found.positions:
            found = joined(found, profiling.one(architecture, img_size))
    return found
