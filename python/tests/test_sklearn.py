"""Estimators among those of scikit-learn, and what is theirs alone."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from conftest import digest, python
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import sisa
import sisa.sklearn
from sisa.sklearn import ExactnessWarning, SisaClassifier, SisaRegressor

LEARNERS = ["forest", "boost", "ridge", "linear", "mlp"]
X, Y = load_breast_cancer(return_X_y=True)
WHO = np.arange(len(Y)) // 3


@parametrize_with_checks([estimator(learner) for estimator in (SisaClassifier, SisaRegressor) for learner in LEARNERS])
def test_it_is_an_estimator(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("learner", LEARNERS)
def test_whom_it_unlearns_it_never_saw(learner: str, tmp_path: Path) -> None:
    """Against an estimator that is fitted without them under the same declarations."""
    clf = SisaClassifier(learner, shards=2, random_state=1, workspace=tmp_path / "a").fit(X, Y, subjects=WHO)
    assert clf.score(X, Y) > 0.9
    before = clf.predict_proba(X)
    told = clf.unlearn([5, 17, 100])
    assert [one["outcome"] for one in told["effective"]["outcomes"]] == ["erased"] * 3 and told["repaired"]
    assert clf.verify()["same"] and (before != clf.predict_proba(X)).any()
    keep = ~np.isin(WHO, [5, 17, 100])
    scratch = sisa.Workspace(tmp_path / "b")
    names = [f"x{at}" for at in range(X.shape[1])]
    table = {**dict(zip(names, X[keep].T)), "y": Y[keep], "subject": WHO[keep]}
    scratch.train(table, config=clf.schema_, seed=1)
    assert digest(scratch.path) == digest(clf.workspace_)


def test_samples_are_unfitted_by_what_they_hold(tmp_path: Path) -> None:
    clf = SisaClassifier(random_state=1, workspace=tmp_path / "a").fit(X, Y)
    told = clf.unfit(X[:4], Y[:4])
    assert sum(one["in_slices"] for one in told["effective"]["outcomes"]) == 4
    with pytest.raises(sisa.InputError, match=r"`unfit\(X, y\)`"):
        clf.unlearn([5])
    with pytest.raises(ValueError, match="no subjects"):
        clf.unfit(X[:4], Y[:4], subjects=WHO[:4])
    again = clf.unfit(np.vstack([X[:1], X[5:6] + 1]), Y[:2])
    assert again["effective"]["outcomes"][0]["outcome"] in ("already_erased", "not_found") and again["unknown"]
    assert len(again["unknown_rows"]) == 1 and again["unknown_rows"][0].endswith("row 2")
    reg = SisaRegressor("ridge", random_state=1, workspace=tmp_path / "b").fit(X, X[:, 0], subjects=WHO)
    assert not reg.unfit(X[:4], X[:4, 0], subjects=WHO[:4])["unknown"] and reg.verify()["same"]
    with pytest.raises(ValueError, match="give subjects"):
        reg.unfit(X[:4], X[:4, 0])


def test_subjects_are_routed() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        clf = SisaClassifier(random_state=0).set_fit_request(subjects=True)
        scores = cross_validate(clf, X, Y, cv=GroupKFold(4), params={"subjects": WHO, "groups": WHO})
        assert scores["test_score"].mean() > 0.9
        grid = GridSearchCV(clf, {"shards": [1, 3]}, cv=GroupKFold(3), n_jobs=2).fit(X, Y, subjects=WHO, groups=WHO)
        assert grid.best_estimator_.unlearn([5])["repaired"] and grid.score(X, Y) > 0.9
        with pytest.raises(TypeError, match="sample_weight"):
            clf.fit(X, Y, sample_weight=np.ones(len(Y)))


def test_a_pickle_is_a_reference(tmp_path: Path) -> None:
    clf = SisaClassifier(random_state=0, workspace=tmp_path).fit(X, Y, subjects=WHO)
    pickled = pickle.dumps(clf)
    assert len(pickled) < 4096
    old = pickle.loads(pickled)
    assert (old.predict_proba(X) == clf.predict_proba(X)).all()
    before = clf.predict_proba(X)
    clf.unlearn(range(30))
    assert (old.predict_proba(X) == clf.predict_proba(X)).all() and (before != clf.predict_proba(X)).any()
    # In another process too.
    (tmp_path / "p.pickle").write_bytes(pickled)
    np.save(tmp_path / "x.npy", X)
    code = "import pickle, sys, numpy as np; c = pickle.load(open(sys.argv[1], 'rb')); print(c.predict_proba(np.load(sys.argv[2])).sum(axis=0)[0])"
    assert float(python(code, tmp_path / "p.pickle", tmp_path / "x.npy")) == clf.predict_proba(X).sum(axis=0)[0]


def test_a_temporary_workspace_goes_with_the_last_that_refers_to_it() -> None:
    clf = SisaClassifier(random_state=0).fit(X, Y)
    folder, pickled, twin = clf.workspace_, pickle.dumps(clf), copy.deepcopy(clf)
    child = os.fork()
    if child == 0:
        del clf, twin
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert (twin.predict(X) == clf.predict(X)).all()
    del clf
    gc.collect()
    assert os.path.isdir(folder) and twin.score(X, Y) > 0.9
    twin.fit(X, Y)
    gc.collect()
    assert not os.path.exists(folder)
    with pytest.raises(sisa.NotReadyError, match="give `workspace=` a folder to keep one"):
        pickle.loads(pickled).predict(X)


def test_a_second_fit_in_a_workspace_takes_over_and_another_configuration_is_left_alone(tmp_path: Path) -> None:
    clf = SisaClassifier("linear", random_state=0, workspace=tmp_path).fit(X, Y)
    first = clf.generation_
    clf.set_params(learner="boost").fit(X[:, :5], Y)
    assert (first, clf.generation_) == ("g0001", "g0002") and clf.predict(X[:, :5]).shape == Y.shape
    # A fit that fails leaves the one before.
    with pytest.raises(sisa.InputError, match="epochs"):
        clone(clf).set_params(learner="forest", epochs=3).fit(X, Y)
    assert clf.predict(X[:, :5]).shape == Y.shape
    (tmp_path / "sisa.toml").write_text("# mine\n" + clf.schema_)
    with pytest.raises(sisa.InputError, match="not overwritten"):
        clf.fit(X, Y)


@pytest.mark.parametrize("to", [lambda f: f, pl.from_pandas, lambda f: pa.Table.from_pandas(f, preserve_index=False)], ids=["pandas", "polars", "pyarrow"])
def test_columns_of_text_are_categories(to, tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(0), 600
    frame = pd.DataFrame({"age": rng.integers(20, 80, rows), "ward": np.array(["east", "west", "north"])[rng.integers(0, 3, rows)]})
    frame["dose"] = rng.normal(size=rows)
    frame.loc[::7, "dose"] = np.nan
    frame["fast\u00e9 \U0001f600 \"*\""] = rng.integers(0, 2, rows) > 0
    frame.loc[::9, "ward"] = None
    frame.loc[5, "ward"] = "Mrs Miller's room"
    y = np.where(frame["ward"] == "east", "sick", "well")
    if to is not None:
        frame = frame.set_index(np.arange(rows) + 1000)
    clf = SisaClassifier("boost", random_state=1, workspace=tmp_path).fit(to(frame), y, subjects=[f"p{at // 2}" for at in range(rows)])
    assert clf.score(to(frame), y) > 0.95 and list(clf.classes_) == ["sick", "well"]
    # What few share is not written down.
    assert '"ward" = { kind = \'category\', values = ["east", "north", "west"] }' in clf.schema_
    assert clf.unlearn("p2")["repaired"] and clf.verify()["same"]
    assert (sisa.Workspace(tmp_path).predict(frame) == clf.predict(to(frame))).all()
    with pytest.raises(ValueError, match="feature names|4 features"):
        clf.predict(to(frame[["dose", "age", "ward"]].drop(columns="age")))


def test_what_is_declared_is_taken_and_what_is_not_says_nothing_of_few(tmp_path: Path) -> None:
    values = np.arange(1000.0)[:, None] / 100
    values[7] = 123.456
    y = values[:, 0] > 5
    clf = SisaClassifier("forest", random_state=0).fit(values, y)
    assert "range = [0.1, 10.0]" in clf.schema_
    assert clf.classes_.dtype == bool and clf.predict(values[:3]).dtype == bool
    declared = SisaClassifier("forest", ranges=[(-1, 11)], settings={"depth": 3}, random_state=0).fit(values, y)
    assert "range = [-1.0, 11.0]" in declared.schema_ and "depth = 3" in declared.schema_
    frame = pd.DataFrame({"a": values[:, 0], "b": np.where(y, "u", "v")})
    named = SisaClassifier("ridge", ranges={"a": (0, 12)}, categories={"b": ["u", "v", "w"]}, random_state=0).fit(frame, y)
    assert '"a" = { kind = \'number\', range = [0.0, 12.0] }' in named.schema_ and '["u", "v", "w"]' in named.schema_
    images = SisaClassifier("ridge", random_state=0).fit(np.random.default_rng(0).integers(0, 255, (50, 784), dtype=np.uint8), np.arange(50) % 2)
    assert "kind = \"image\"" in images.schema_
    suited = SisaClassifier(None, random_state=0).fit(values, y)
    assert 'kind = "forest"' in suited.schema_


def test_one_range_declares_a_matrix_as_one_vector(tmp_path: Path) -> None:
    """The same head as of numbers that are declared one by one."""
    vectors = X.astype(np.float32) / X.max(axis=0)
    whole = SisaClassifier("ridge", ranges=(0, 1), random_state=1).fit(vectors, Y, subjects=WHO)
    assert '"x" = { kind = \'embedding\', size = 30, range = [0.0, 1.0] }' in whole.schema_
    apart = SisaClassifier("ridge", ranges=[(0, 1)] * 30, random_state=1).fit(vectors, Y, subjects=WHO)
    assert "embedding" not in apart.schema_ and (whole.predict_proba(vectors) == apart.predict_proba(vectors)).all()
    told = whole.unlearn([5, 17])
    assert told["repaired"] and whole.verify()["same"] and apart.unlearn([5, 17])["repaired"]
    assert (whole.predict_proba(vectors) == apart.predict_proba(vectors)).all()
    named = SisaClassifier("forest", ranges=(0, 1), random_state=1).fit(pd.DataFrame(vectors[:, :2], columns=["a", "b"]), Y)
    assert '"b" = { kind = \'number\', range = [0.0, 1.0] }' in named.schema_
    # Two columns with a pair each are no pair.
    pairs = SisaClassifier("forest", ranges=[(0, 1), (0, 2)], random_state=1).fit(vectors[:, :2], Y)
    assert '"x1" = { kind = \'number\', range = [0.0, 2.0] }' in pairs.schema_


def test_regression(tmp_path: Path) -> None:
    data, target = load_diabetes(return_X_y=True)
    reg = SisaRegressor("linear", random_state=0, label_range=(0, 400)).fit(data, target)
    assert reg.score(data, target) > 0.35 and "range = [0.0, 400.0]" in reg.schema_


def test_what_learns_from_everyone_is_told() -> None:
    with pytest.warns(ExactnessWarning, match="StandardScaler learnt from everyone"):
        make_pipeline(StandardScaler(), SisaClassifier(random_state=0)).fit(X, Y)
    deep = Pipeline([("a", FeatureUnion([("n", Normalizer()), ("p", Pipeline([("s", StandardScaler())]))])), ("m", SisaClassifier(random_state=0))])
    with pytest.warns(ExactnessWarning, match="StandardScaler"):
        deep.fit(X, Y)
    stateless = make_column_transformer((Normalizer(), [0, 1]), (FunctionTransformer(np.log1p), [2]), remainder="passthrough")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExactnessWarning)
        make_pipeline(Normalizer(), stateless, SisaClassifier(random_state=0)).fit(X, Y)
        SisaClassifier(random_state=0).fit(StandardScaler().fit_transform(X), Y)
    with pytest.raises(sisa.InputError, match="StandardScaler would learn from everyone"):
        sisa.sklearn.make_pipeline(StandardScaler(), SisaClassifier())
    assert isinstance(sisa.sklearn.make_pipeline(Normalizer(), SisaClassifier()), Pipeline)


@pytest.mark.parametrize(
    ("subjects", "says"),
    [(WHO[:5], "569 samples and 5 subjects"), (WHO / 2, "not float64"), ([None] * len(Y), "NoneType"), ([True] * len(Y), "not bool")],
)
def test_subjects_are_ids(subjects: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SisaClassifier().fit(X, Y, subjects=subjects)
