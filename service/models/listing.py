"""What is said of models: in memory or not, refused or not, and what their files tell."""

from datetime import UTC, datetime

from service.models.catalogue import Entry
from service.models.choice import refused_problem, unknown_problem
from service.models.store import ModelStore
from service.schemas import Model, Models, ModelVersion, RefusedFile
from stn import AlignerInfo, ModelConfig, ModelInfo
from stn.identities import identity_of


def describe_models(store: ModelStore) -> Models:
    """Every model that has a file that can be read, and every file that is refused."""
    default = store.memory.default_name()
    names = [name for name in sorted(store.catalogue.models) if _readable(store, name)]
    return Models(
        default_model=default if default in names else None,
        models=[describe_model(store, name) for name in names],
        refused=[RefusedFile(file=file, reason=reason) for file, reason in store.catalogue.refused().items()],
    )


def describe_model(store: ModelStore, name: str) -> Model:
    """One model with its versions, oldest first.

    Raises:
        Problem: there is none, or none of its files can be read.
    """
    versions = store.catalogue.models.get(name, {})
    readable = _readable(store, name)
    if not readable:
        raise refused_problem(versions[max(versions)]) if versions else unknown_problem(store.catalogue, name, None)
    return Model(
        name=name,
        default_version=store.memory.answering.get(name),
        pinned_version=store.catalogue.pins.get(name),
        versions=[describe_version(store, entry) for entry in readable],
    )


def describe_version(store: ModelStore, entry: Entry) -> ModelVersion:
    """One version; a Problem where its file cannot be read."""
    served = store.memory.held.get(entry.key)
    info = served.info if served else entry.info
    if info is None:
        raise refused_problem(entry)
    network = _network(info)
    identity = identity_of(network)
    output = (network.size if identity else None) or info.input.size
    return ModelVersion(
        model=entry.name,
        version=entry.version,
        default=store.memory.answering.get(entry.name) == entry.version,
        state=store.state(entry),
        reason=entry.reason,
        runtimes=dict(served.runtimes) if served else {},
        bytes=entry.stamp.size,
        sha256=served.sha256[:12] if served else None,
        registered=_time(entry.registered),
        last_used=_time(served.last_used) if served else None,
        task=info.task,
        classifier=network.classifier if isinstance(info, ModelInfo) else None,
        transform=None if network.transform == "none" else network.transform,
        parameter_names=list(identity),
        identity=list(identity.values()),
        channels=info.input.channels,
        height=info.input.height,
        width=info.input.width,
        fit=info.input.fit,
        output_height=output[0],
        output_width=output[1],
        class_names=list(info.class_names) if isinstance(info, ModelInfo) else [],
        scores=dict(info.scores),
        provenance=dict(info.provenance),
    )


def _readable(store: ModelStore, name: str) -> list[Entry]:
    versions = store.catalogue.models.get(name, {})
    return [
        versions[version]
        for version in sorted(versions)
        if versions[version].info or (name, version) in store.memory.held
    ]


def _network(info: ModelInfo | AlignerInfo) -> ModelConfig:
    """The config of a classifier, or one with the transform of an aligner's answer."""
    if isinstance(info, ModelInfo):
        return info.config
    return ModelConfig(transform=info.config.transforms[-1], lattice=info.config.lattice)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
