"""Component scopes: principal components that are fitted on one set of rows and applied to another."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

#: States that the components of a model are fitted on: its own (as in an audit), those of the reference, or of both.
SCOPES = ("own", "reference", "joint")


def in_components(fitted: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """Project rows on the first k principal components of other rows.

    Args:
        fitted: (m, d), the rows that the components are fitted on; k is less than m and d.
        rows: (n, d).
        k: number of components.

    Returns:
        float64 (n, k).
    """
    # The leading few of thousands of components: Lanczos finds them to rounding error without the rest.
    pca = PCA(k, svd_solver="arpack", random_state=0).fit(fitted.astype(np.float64))
    return np.asarray(pca.transform(rows.astype(np.float64)))


def scope_rows(scope: str, own: np.ndarray, reference: np.ndarray | None, aligned: np.ndarray) -> np.ndarray | None:
    """Return the rows that a scope fits its components on; None without a reference, or if the widths differ."""
    if scope == "own":
        return own
    if reference is None or reference.shape[1] != aligned.shape[1]:
        return None
    return reference if scope == "reference" else np.concatenate([reference, aligned])
