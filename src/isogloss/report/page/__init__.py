"""One self-contained HTML page of an audit: it asks for nothing, runs nothing of others, and hides nothing."""

from isogloss.report.page.write import page_html

__all__ = ["page_html"]
