"""Hypothesis strategy: a release, and the same release a day later."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from strategies import releases

Json = dict[str, Any]


@st.composite
def revisions(draw: DrawFn) -> tuple[Json, Json]:
    """Draw two releases of one task type, the second with labels and samples of the first, some of them changed."""
    old, other = draw(releases()), draw(releases())
    samples = samples_of(old)
    later: list[Json] = []
    for sample in samples:
        match draw(
            st.sampled_from(("keep", "keep", "keep", "keep", "remove", "rename", "relabel", "unlabel", "again"))
        ):
            case "keep":
                later.append(sample)
            case "rename":
                later.append(sample | {"name": "renamed", "metadata": {"night": True}})
            case "relabel" if sample.get("labels"):
                name = draw(st.sampled_from(sorted(sample["labels"])))
                label = (sample["labels"][name] or {}) | {"label_status": "REVIEWED", "attributes": {"annotations": []}}
                later.append(sample | {"labels": sample["labels"] | {name: label}})
            case "unlabel":
                later.append(sample | {"labels": dict(list((sample.get("labels") or {}).items())[1:])})
            case "again":
                later += [sample, sample]
            case _:
                pass
    for sample in samples_of(other):
        if draw(st.booleans()):
            uuid = {"uuid": f"new-{len(later)}"} if draw(st.booleans()) else {}
            later.insert(draw(st.integers(0, len(later))), sample | uuid)
    if draw(st.sampled_from((False, False, False, True))):
        later = draw(st.permutations(later))
    dataset = dict(other["dataset"] if draw(st.sampled_from((False, False, True))) else old["dataset"])
    return old, old | {"dataset": dataset | {"samples": later}}


def samples_of(release: Json) -> list[Json]:
    return release["dataset"].get("samples") or []
