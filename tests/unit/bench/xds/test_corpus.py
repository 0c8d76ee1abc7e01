from pathlib import Path

import pytest

from bench.xds.corpus import Corpus, Edit, Shape
from control_plane.compile import Compiler
from control_plane.snapshot import Release
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, ROUTES_TYPE
from tests.support.compiled import WIRING

CHANGED = {Edit.ROUTE: ROUTES_TYPE, Edit.ENDPOINT: ENDPOINTS_TYPE, Edit.CLUSTER: CLUSTER_TYPE}


def release(compiler: Compiler, corpus: Corpus) -> Release:
    return compiler.release(compiler.read(corpus.folder, {}).gateway)


@pytest.mark.parametrize("shape", [Shape(10, 1), Shape(25, 4), Shape(25, 4, hosts=True), Shape(3, 3)], ids=str)
def test_a_corpus_has_so_many_routes_in_so_many_files(tmp_path: Path, shape: Shape):
    corpus = Corpus(tmp_path / "config", shape, 18800, 18801)
    corpus.write()

    gateway = Compiler(WIRING).read(corpus.folder, {}).gateway

    assert sorted(route.name for route in gateway.routes) == sorted(f"r{number}" for number in range(shape.routes))
    assert len(list(corpus.folder.iterdir())) == shape.files
    assert len({route.hosts for route in gateway.routes}) == (shape.files if shape.hosts else 1)


@pytest.mark.parametrize("kind", list(Edit))
@pytest.mark.parametrize("hosts", [False, True])
def test_every_edit_changes_one_type_and_no_other(tmp_path: Path, kind: Edit, hosts: bool):
    corpus = Corpus(tmp_path / "config", Shape(12, 3, hosts=hosts), 18800, 18801)
    corpus.write()
    compiler = Compiler(WIRING)
    before = release(compiler, corpus)

    for number in range(30):
        corpus.edit(kind, number)
        after = release(compiler, corpus)
        changed = {url for url, named in after.envoy.resources.items() if named != before.envoy.of(url)}

        assert changed == {CHANGED[kind]}
        assert after.policies == before.policies
        before = after
