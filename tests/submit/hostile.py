"""Twelve values that have broken submission tools before."""

HOSTILE = {
    "quotes": 'it\'s "quoted"',
    "substitution": "$(touch x)",
    "backticks": "`touch x`",
    "newline": "first\ntouch x",
    "semicolon": "a; touch x",
    "unicode": "größe-模型",
    "leading dash": "-rf",
    "percent": "100%s%j",
    "backslash": "a\\b\\",
    "long": "x" * 300,
    "empty": "",
    "nul": "a\0b",
}
PRINTABLE = {name: value for name, value in HOSTILE.items() if name not in ("newline", "nul")}
