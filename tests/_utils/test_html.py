import re

from radogaga._utils import html


def test_a_page_escapes_what_it_is_given_and_needs_nothing_beside_it():
    parts = [
        html.heading("<h>"),
        html.paragraph("a < b"),
        html.table(["x"], [["<td>"]]),
        html.picture(b"not looked at", "caption & more"),
        html.preformatted("$ command"),
    ]
    page = html.page("<title>", parts)
    assert ">&lt;td&gt;</td>" in page
    assert "a &lt; b" in page
    assert 'src="http' not in page
    assert "data:image/png;base64," in page


def test_a_group_begins_where_the_first_cell_changes():
    cells = [["a", "1"], ["a", "2"], ["b", "3"], ["", "4"], ["c", "5"]]
    table = html.table(["x", "y"], cells, grouped=True)
    starts = re.findall(r'<tr class="group">.*?>(\d)</td></tr>', table)
    assert starts == ["3", "5"]
    assert "group" not in html.table(["x", "y"], cells)
