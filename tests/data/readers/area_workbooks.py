"""A file of an area as an .xlsx workbook, with dates and times typed as Excel does."""

import io
import zipfile
from datetime import date, datetime, time
from xml.sax.saxutils import escape

from tests.data.readers.area_files import AreaFile


def workbook_rows(file: AreaFile) -> list[list[object]]:
    """Return the rows of a file as the typed cells of a worksheet."""
    rows: list[list[object]] = [[c.strip('"') for c in _split(line)] for line in file.head]
    for row in file.rows:
        day = datetime.strptime(row[0], "%Y/%m/%d").date()  # noqa: DTZ007
        clock = time(int(row[1].split(":")[0]))
        rows.append([day, clock, *(int(c) if c.lstrip("-").isdigit() else c for c in row[2:])])
    return rows


def _split(line: str) -> list[str]:
    quoted = line.startswith('"')
    return [line.split('"')[1], *line.split('"')[2].split(",")[1:]] if quoted else line.split(",")


def workbook(rows: list[list[object]]) -> bytes:
    """Return an .xlsx workbook of one sheet; dates and times of day are typed as Excel does."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    sheet = "".join(f"<row>{''.join(_cell_xml(cell) for cell in row)}</row>" for row in rows)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="a" '
        'sheetId="1" r:id="s1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="s1" Target="worksheets/sheet1.xml" Type="{office}/worksheet"/>'
        f'<Relationship Id="s2" Target="styles.xml" Type="{office}/styles"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="3"><xf numFmtId="0"/>'
        '<xf numFmtId="14"/><xf numFmtId="20"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData>'
        "</worksheet>",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def _cell_xml(cell: object) -> str:
    if isinstance(cell, date):
        return f'<c s="1"><v>{(cell - date(1899, 12, 30)).days}</v></c>'
    if isinstance(cell, time):
        return f'<c s="2"><v>{cell.hour / 24!r}</v></c>'
    if isinstance(cell, int | float):
        return f"<c><v>{cell!r}</v></c>"
    return f'<c t="inlineStr"><is><t>{escape(str(cell))}</t></is></c>' if cell else "<c/>"
