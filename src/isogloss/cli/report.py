"""`isogloss report`: a run folder as a page, as tables for a paper, or in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.cli.options import console, deliver, path_option, refuse_unwritable, run_argument
from isogloss.cli.settings import with_options
from isogloss.errors import UsageError
from isogloss.io.paths import AnyPath
from isogloss.recipes.settings import READING_OPTIONS, read_corpus_options

if TYPE_CHECKING:
    from isogloss.data.corpus import Corpus
    from isogloss.report.read_run import Run
    from isogloss.results import Audit


@with_options(READING_OPTIONS)
def report(
    given: dict[str, Any],
    run: Annotated[AnyPath, run_argument()],
    form: Annotated[
        str | None, typer.Option("--format", help="Print the paper's tables instead: md, latex or csv.")
    ] = None,
    card: Annotated[  # noqa: FBT002
        bool, typer.Option("--card", help="Print a Hugging Face model-card section with model-index.")
    ] = False,
    pairs: Annotated[
        int | None, typer.Option(help="Print this many pairs a language that lose most, by their ids.", min=1)
    ] = None,
    show_text: Annotated[  # noqa: FBT002
        bool, typer.Option("--show-text", help="With --pairs: print their texts, which may be offensive.")
    ] = False,
    embed_text: Annotated[  # noqa: FBT002
        bool, typer.Option("--embed-text", help="Put the texts into the page, covered until they are clicked.")
    ] = False,
    corpus: Annotated[
        list[str] | None, typer.Option(help="Where the texts are; default: the audited corpus if it has a name.")
    ] = None,
    out: Annotated[AnyPath | None, path_option("File to write. Default: RUN/report.html, or print.")] = None,
) -> None:
    """Rebuild RUN/report.html from a run folder, or print its tables. No model is loaded."""
    from isogloss.analyses.audit import ANALYSES  # noqa: PLC0415
    from isogloss.auditing.analysis import reading_of  # noqa: PLC0415
    from isogloss.report.read_run import read_audit, read_run  # noqa: PLC0415

    _check(form, card=card, pairs=pairs, show_text=show_text, embed_text=embed_text, corpus=corpus, given=given)
    if pairs and out:
        raise UsageError("--out", found="it with --pairs", expected="a page or tables", do="drop one")
    if form or card:
        audit = read_audit(run)
        deliver(_card(audit) if card else _tables(audit, form or ""), out)
        return
    names, frames = reading_of(ANALYSES)
    read = read_run(run, names, frames=frames)
    sample = _sample(read.audit, corpus, given) if show_text or embed_text else None
    if pairs:
        _print_pairs(read, pairs, sample)
    else:
        page = out or run / "report.html"
        refuse_unwritable(page)  # before the page is made, which takes seconds
        deliver(_page(read, sample), page)


def _check(
    form: str | None,
    *,
    card: bool,
    pairs: int | None,
    show_text: bool,
    embed_text: bool,
    corpus: list[str] | None,
    given: dict[str, Any],
) -> None:
    if sum(map(bool, (form, card, pairs))) > 1:
        raise UsageError("report", found="two things to print", expected="one of --format, --card, --pairs", do="drop")
    if form and form not in {"md", "latex", "csv"}:
        raise UsageError("--format", found=repr(form), expected="md, latex or csv", do="choose one")
    if show_text and not pairs:
        raise UsageError("--show-text", found="it alone", expected="--pairs as well", do="say how many pairs to print")
    if embed_text and (form or card or pairs):
        raise UsageError("--embed-text", found="it without a page", expected="it alone", do="drop one")
    if (corpus or given) and not (show_text or embed_text):
        raise UsageError(
            "options of the corpus",
            found="them alone",
            expected="--show-text or --embed-text as well",
            do="add or drop",
        )


def _tables(audit: Audit, form: str) -> str:
    from isogloss.analyses.audit import audit_sections  # noqa: PLC0415
    from isogloss.report.exports import export_tables  # noqa: PLC0415
    from isogloss.report.render_csv import render_csv  # noqa: PLC0415
    from isogloss.report.render_latex import render_latex  # noqa: PLC0415
    from isogloss.report.render_markdown import render_markdown  # noqa: PLC0415
    from isogloss.report.view import view  # noqa: PLC0415

    if form == "csv":
        return render_csv(audit.table())
    tables = export_tables(view(audit), audit_sections(audit))
    return render_markdown(tables) if form == "md" else render_latex(tables)


def _card(audit: Audit) -> str:
    from isogloss.report.card import model_card  # noqa: PLC0415

    return model_card(audit)


def _print_pairs(read: Run, most: int, sample: Corpus | None) -> None:
    from isogloss.report.lost_pairs import NOTHING, lost_pairs_table, most_lost  # noqa: PLC0415
    from isogloss.report.render_terminal import print_note, print_table  # noqa: PLC0415

    lost = most_lost(read.audit, read.points, most)
    if lost.height:
        print_table(lost_pairs_table(read.audit, lost, sample), console())
    else:
        print_note(NOTHING, console())


def _page(read: Run, sample: Corpus | None) -> str:
    from isogloss.analyses.audit import audit_sections  # noqa: PLC0415
    from isogloss.report.lost_pairs import by_id  # noqa: PLC0415
    from isogloss.report.page import page_html  # noqa: PLC0415

    return page_html(
        read.audit,
        read.points,
        sections=audit_sections(read.audit, read.frames),
        run=read.record,
        texts=by_id(sample) if sample else None,
    )


def _sample(audit: Audit, corpus: list[str] | None, given: dict[str, Any]) -> Corpus:
    import isogloss  # noqa: PLC0415
    from isogloss.data.named_corpora import CORPORA  # noqa: PLC0415
    from isogloss.report.lost_pairs import audited_texts  # noqa: PLC0415

    name = audit.corpus["name"]
    if not corpus and name not in CORPORA:
        raise UsageError(
            "--corpus", found="none", expected=f"the file or data set that was audited, {name!r}", do="name it"
        )
    texts = isogloss.load_corpus(corpus or [name], languages=audit.languages, **read_corpus_options(given))
    return audited_texts(audit, texts)
