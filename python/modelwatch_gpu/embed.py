"""Embeds a text column, for logs that have texts and no vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.errors import InputError

#: The model that is used where none is named.
DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def embed(
    table: Any,
    column: str,
    *,
    name: str | None = None,
    model: Any = DEFAULT_MODEL,
    batch_size: int = 64,
    normalize: bool = False,
    device: str | None = None,
) -> pa.Table:
    """The table with a column of embeddings of a text column; null texts have null vectors.

    The column's field names the model in its metadata, so that a baseline refuses the vectors of another one.

    Args:
        table: A pyarrow Table or record batch, or anything with ``__arrow_c_stream__``.
        column: The text column.
        name: Of the new column. Default: the text column's with "_embedding" behind it.
        model: Name or folder of a sentence-transformers model (needs the extra ``embed``), or an object whose
            ``encode(texts, batch_size=, show_progress_bar=, normalize_embeddings=)`` returns (texts, d) floats.
        batch_size: Texts a step of the model.
        normalize: Scale vectors to length 1.
        device: As sentence-transformers names it, such as "cpu" or "cuda"; None: its own choice.

    Raises:
        InputError: The column is not there or holds no text, the new name is taken, sentence-transformers or the model
            is missing, or the model returns something else than a vector a text.
    """
    rows = pa.table(table) if not isinstance(table, pa.Table) else table
    added = name if name is not None else f"{column}_embedding"
    if column not in rows.schema.names:
        raise InputError(f"There is no column '{column}' to embed; the table has {', '.join(rows.schema.names)}.")
    if added in rows.schema.names:
        raise InputError(f"The table has a column '{added}' already; give the embeddings another name by name=.")
    texts = rows.column(column)
    if pa.types.is_dictionary(texts.type):
        texts = texts.cast(texts.type.value_type)
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise InputError(f"Column '{column}' has type {texts.type}; text is needed to embed.")
    encoder, said = _encoder(model, device)
    known = pc.is_valid(texts).to_numpy()
    found = np.asarray(
        encoder.encode(
            texts.drop_null().to_pylist(),
            batch_size=batch_size,
            show_progress_bar=False,
            normalize_embeddings=normalize,
        )
        if known.any()
        else np.empty((0, 1))
    )
    if found.ndim != 2 or len(found) != int(known.sum()) or found.shape[1] == 0 or found.dtype.kind != "f":
        raise InputError(
            f"The model {said} returned {found.dtype} of shape {found.shape} for {int(known.sum())} texts."
        )
    whole = np.zeros((len(known), found.shape[1]), dtype=found.dtype if found.dtype != np.float64 else np.float32)
    whole[known] = found
    flat = pa.array(whole.reshape(-1))
    kind = pa.list_(flat.type, found.shape[1])
    vectors = pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array(~known))
    return rows.append_column(pa.field(added, kind, metadata={"model": said}), vectors)


def _encoder(model: Any, device: str | None) -> tuple[Any, str]:
    """Something that encodes, and its name."""
    if not isinstance(model, str):
        if not hasattr(model, "encode"):
            raise InputError(f"model is a name, a folder or an object with encode(), not {type(model).__name__}.")
        return model, str(getattr(model, "name", type(model).__name__))
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise InputError(
            "mw.embed with a model's name needs sentence-transformers; install modelwatch-gpu[embed], or pass an "
            "object with encode() as model=."
        ) from None
    try:
        return SentenceTransformer(model, device=device), model.rstrip("/").rsplit("/", 1)[-1]
    except (OSError, ValueError, RuntimeError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"The model '{model}' cannot be loaded ({said}).") from error
