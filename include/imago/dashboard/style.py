"""The dashboard's style sheet: plain CSS, light and dark by what the reader's system asks for."""

STYLE = """
:root{--page:#f5f6f8;--card:#fff;--text:#1b2330;--dim:#677185;--line:#e3e7ee;--accent:#2f6fed;--second:#8b5cf6;--good:#1a9b6c;
--bad:#d4423e;--warn:#d98a0b}
@media (prefers-color-scheme:dark){:root{--page:#10141b;--card:#181e28;--text:#e6eaf1;--dim:#93a0b5;
--line:#2a3341;--accent:#6b9bff;--second:#b394ff;--good:#43c794;--bad:#ff7a73;--warn:#f0b04a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);
font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 24px 48px}
header{display:flex;justify-content:space-between;align-items:flex-start;gap:16px;margin-bottom:20px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:14px;margin:0 0 12px;font-weight:600}
p{margin:0}
.dim{color:var(--dim)}
.tag{background:var(--accent);color:var(--card);border-radius:99px;padding:2px 12px;font-size:12px;font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:16px;margin-bottom:16px}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px}
.tile b{display:block;font-size:26px;line-height:1.25;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile span{color:var(--dim);font-size:13px}
.tile.bad b{color:var(--bad)}
.grid2,.grid3{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:16px;margin-bottom:16px}
.grid3{grid-template-columns:repeat(auto-fit,minmax(280px,1fr))}
main>.card{margin-bottom:16px}
.card{min-width:0;overflow-x:auto}
.link{color:inherit;text-decoration:none}.link:hover{border-color:var(--accent)}.link h2{font-size:18px;margin:8px 0}
.reason{margin-bottom:12px}
.note,.empty{color:var(--dim);font-size:12.5px;margin-top:8px}
svg{display:block;width:100%;height:auto}
svg text{font-size:11px;fill:var(--dim)}
svg .grid{stroke:var(--line)}svg .axis{stroke:var(--dim)}
svg .gain{fill:var(--good)}svg .loss{fill:var(--bad)}
.legend{display:flex;gap:16px;color:var(--dim);font-size:12.5px;margin-top:6px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
table{width:100%;border-collapse:collapse;margin-top:4px}
th{color:var(--dim);font-weight:500;font-size:12.5px;text-align:left}
td,th{padding:6px 8px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
.number{text-align:right;font-variant-numeric:tabular-nums}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0 0 12px}
dt{color:var(--dim)}dd{margin:0}
.dot{display:inline-block;width:8px;height:8px;border-radius:50%;margin-right:8px;background:var(--dim)}
.dot.critical{background:var(--bad)}.dot.warning{background:var(--warn)}.dot.calm{background:var(--good)}.dot.info{background:var(--accent)}
.days{display:flex;flex-wrap:wrap;gap:4px}
.days i{font-style:normal;font-size:11px;padding:3px 6px;border-radius:5px;color:var(--card)}
i.live{background:var(--good)}i.backfill{background:var(--accent)}i.shadow{background:var(--dim)}i.leak{background:var(--warn)}
"""
