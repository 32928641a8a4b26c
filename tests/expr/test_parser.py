"""
Tests for :mod:`twisted_fcgi.expr`.

What is true and what is false here was asked of httpd 2.4.71 by ProxyFCGISetEnvIf.
"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.expr.functions import FUNCTIONS
from twisted_fcgi.expr.lexer import MAX_DEPTH, MAX_LENGTH, ExpressionError
from twisted_fcgi.expr.operators import BINARY, UNARY
from twisted_fcgi.expr.parser import compileCondition, compileString
from twisted_fcgi.expr.variables import VARIABLES

TRUE = r"""
true
!false
! false
!!true
true && true
false || true
not false
true or false
true || true && false
!false && !false
((('a' == 'a')))
  true   &&	true
'a'=='a'&&'b'=='b'
'abc' = 'abc'
'abc' != 'ABC'
'abc' < 'abd'
'abc' <= 'abc'
'b' > 'a'
'10' < '9'
'' == ''
42 == '42'
%{HTTP_HOST} == 'www.example.test'
'h=%{HTTP_HOST};' == 'h=www.example.test;'
'a' . 'b' == 'ab'
toupper('a') . %{REQUEST_METHOD} == 'AGET'
%{HTTP:X-Num} -eq 42
req('X-Num') -ne 43
9 -lt 10
9 lt 10
req('X-Num') eq 42
'abc' -eq 0
'12abc' -eq 12
' 12' -eq 12
'-5' -lt 0
'+5' -eq 5
'007' -eq 7
'' -eq 0
'99999999999' -gt 99999999998
%{HTTP:X-Text} =~ /^Hello/
%{HTTP:X-Text} !~ /^World/
%{HTTP:X-Text} =~ /^hello/i
%{HTTP:X-Text} =~ m#^hello#i
%{HTTP:X-Text} =~ m|World$|
%{HTTP:X-Text} =~ m,World,
%{HTTP:X-Num} =~ /^\d+$/
%{HTTP:X-Text} =~ /(?<first>\w+)/
'a/b' =~ m#a\/b#
'' =~ /^$/
%{HTTP:X-Num} in {'41', '42', '43'}
%{HTTP:X-Num} -in {'42'}
'GET' in {%{REQUEST_METHOD}, 'x'}
-n %{HTTP:X-Text}
-z %{HTTP:X-Empty}
-z %{HTTP:X-Absent}
! -n %{HTTP:X-Empty}
-T 'on'
-T '00'
-R '127.0.0.0/8'
-R '127.0.0.1'
-R '127.'
%{REMOTE_ADDR} -ipmatch '127.0.0.0/24'
%{REMOTE_ADDR} -ipmatch '127.0.0.0/255.255.255.0'
'::1' -ipmatch '::/64'
'::ffff:10.0.0.1' -ipmatch '10.0.0.0/8'
%{HTTP:X-Text} -strmatch 'Hello*'
'abc' -strmatch 'a?c'
%{HTTP:X-Text} -strcmatch 'HELLO*'
'/a/b/c' -strmatch '/*/c'
'/a/b' -fnmatch '/*/b'
'abc' -strmatch '%{tolower:A}*'
tolower(req('X-Text')) == 'hello world'
md5(tolower('ABC')) == '900150983cd24fb0d6963f7d28e17f72'
unbase64(base64('xyz')) == 'xyz'
sha1('') == 'da39a3ee5e6b4b0d3255bfef95601890afd80709'
tolower( 'A' ) == 'a'
TOLOWER('A') == 'a'
'ab' =~ /(a)/ && $1 == 'a'
-e '/' && -d '/' && ! -f '/'
%{TIME_YEAR} -ge 2024
%{TIME} =~ /^20[0-9]{12}$/
"it's" == "it's"
'say "hi"' == 'say "hi"'
"\x" == 'x'
"\101\n" == "A\n"
match('a') == 'a' || true
""".strip("\n").split("\n")[:-1]

FALSE = r"""
false
!true
true && false
(true || true) && false
'abc' == 'ABC'
'a' >= 'b'
41 -ge 42
'0x10' -eq 16
%{HTTP:X-Text} =~ /^World/
'x1' !~ /x/
%{HTTP:X-Num} in {'1', '2'}
-n %{HTTP:X-Empty}
-z 'x'
-T ''
-T '0'
-T 'off'
-T 'OFF'
-T 'false'
-T 'no'
-R '10.0.0.0/8'
'10.1.2.3' -ipmatch '10.2.0.0/16'
'no address' -ipmatch '10.2.0.0/16'
'abc' -strmatch 'A*'
'/a/b/c' -fnmatch '/*/c'
-e '/none/such'
-f "a\1b"
""".strip("\n").split("\n")

# Text, condition, value.
VALUES = [
    ("plain text", "true", "plain text"),
    ("", "true", ""),
    ("100% {x} %y", "true", "100% {x} %y"),
    ("it's", "true", "it's"),
    ("a-%{REQUEST_METHOD}-b-%{req:X-Num}-c", "true", "a-GET-b-42-c"),
    (r"a\nb\t\101\qb", "true", "a\nb\tAqb"),
    (r"\%{REQUEST_METHOD}", "true", "%{REQUEST_METHOD}"),
    (r"a\\b", "true", "a\\b"),
    ("tolower('A')", "true", "tolower('A')"),
    ("[%{request_method}]", "true", "[GET]"),
    ("%{tolower:%{req:X-Text}}", "true", "hello world"),
    ("%{toupper: a }", "true", " A "),
    ("%{unescape:a%20b%2Fc%41}", "true", "a b%2FcA"),
    ("%{unescape:a%zz}", "true", ""),
    ("%{unescape:a+b}", "true", "a+b"),
    ("%{escape:a b/c?d&e%f}", "true", "a%20b/c%3fd&e%25f"),
    ("%{unbase64:SGVsbG8}", "true", "Hello"),
    ("%{unbase64:!!!}", "true", ""),
    ("%{ldap:a(b)*c}", "true", r"a\28b\29\2ac"),
    ("%{filesize:/none/such}", "true", "0"),
    ("%{env:SCRIPT_NAME}|%{env:note}", "true", "/a.php|noted"),
    ("%{hc:body}|%{HC_BODY}|%{hc:other}", "hc('BODY') =~ /^pong$/", "pong|pong|"),
    ("<$1>", "%{REQUEST_URI} =~ m#/([a-z]+)[.]#", "<a>"),
    ("$3-$2-$1-$0", "'abc' =~ /(a)(b)(c)/", "c-b-a-abc"),
    ("[$2]", "'a' =~ /(a)/", "[]"),
    ("[$1][$2]", "'b' =~ /(a)?(b)/", "[][b]"),
    ("$9$10", "'abcdefghijk' =~ /(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)/", "ia0"),
    ("%{toupper:$1}", "'abc' =~ /(b)/", "B"),
    ("$1", "'x1' =~ /x(1)/ && 'y2' =~ /y(2)/", "2"),
    ("$1", "'x1' =~ /x(1)/ && 'y2' =~ /y2/", "1"),
    ("[$1]", "'x1' =~ /z(1)/ || true", "[]"),
    ("a$b$$1", "'x1' =~ /x(1)/", "a$b$1"),
    (r"\$1", "'x1' =~ /x(1)/", "$1"),
    ("${1}", "true", "${1}"),
]
# Text, the error's words, its column.
ERRORS = [
    ("", "expected a word", 1),
    ("'a'", "expected a comparison behind the word, got the end", 4),
    ("'a' == ", "expected a word", 8),
    ("true true", "expected '&&', '||' or the end, got 'true'", 6),
    ("(true", "expected ')', got the end", 6),
    ("'abc", "the string has no closing quote", 5),
    ("%{HTTP_HOST == 'a'", "unexpected ' ' in the name of a variable", 12),
    ("%{req:X", "the variable has no closing '}'", 8),
    ("%{tolower:} == 'a'", "the function has no argument", 11),
    ("%{HTTP_HOTS} == 'a'", "did you mean 'http_host'?", 3),
    ("tolowr('A') == 'a'", "did you mean 'tolower'?", 1),
    ("-q 'a'", "there is no unary operator '-q'", 1),
    ("'a' -strmach 'b'", "did you mean '-strmatch'?", 5),
    ("'a' =~ 'b'", "expected a regular expression", 8),
    ("'a' =~ /(/", "bad regular expression", 8),
    ("'a' =~ /a", "has no closing '/'", 8),
    ("'a' in 'b'", "expected '{'", 8),
    ("'a' in split('b')", "no function that makes a list", 8),
    ("-R '10.0.0.0/99'", "the mask of '10.0.0.0/99' is wrong", 4),
    ("-R %{HTTP_HOST}", "a subnet has to be constant", 4),
    ("'a' == \"\\400\"", "a character escape is", 9),
    ("'a' == 'b' ; true", "unexpected ';'", 12),
    ("!" * (MAX_DEPTH + 10) + "true", "nested more than", None),
    ("(" * (MAX_DEPTH + 10) + "true" + ")" * (MAX_DEPTH + 10), "nested more than", None),
    ("'" + "a" * MAX_LENGTH + "'", "longer than", MAX_LENGTH + 1),
]


class FakeContext:
    """A request that the expressions of this module are asked about."""

    headers = {b"x-text": b"Hello World", b"x-num": b"42", b"x-empty": b"",
               b"host": b"www.example.test"}  # fmt: skip
    variables = {b"REQUEST_METHOD": b"GET", b"REQUEST_URI": b"/e/a.php",
                 b"REMOTE_ADDR": b"127.0.0.1"}  # fmt: skip

    def __init__(self) -> None:
        self.match: re.Match[bytes] | None = None
        self.now = 1.8e9
        self.vary: list[bytes] = []

    def variable(self, name: bytes) -> bytes | None:
        return self.variables.get(name)

    def header(self, name: bytes, vary: bool = True) -> bytes | None:
        if vary:
            self.vary.append(name)
        return self.headers.get(name.lower())

    def responseHeader(self, name: bytes) -> bytes | None:
        return None

    def environment(self, name: bytes) -> bytes | None:
        return b"/a.php" if name == b"SCRIPT_NAME" else None

    def note(self, name: bytes) -> bytes | None:
        return b"noted" if name == b"note" else None

    def checkedBody(self) -> bytes:
        return b"pong"
    def reachable(self, target: bytes, isFile: bool) -> bool:
        return False


def encode(text: str) -> bytes:
    return text.encode("latin-1")


class ConditionTests(SynchronousTestCase):
    """Tests for :func:`compileCondition`."""

    def test_true(self) -> None:
        """These hold in httpd."""
        wrong = [text for text in TRUE if not compileCondition(encode(text))(FakeContext())]
        self.assertEqual(wrong, [])

    def test_false(self) -> None:
        """These do not hold in httpd."""
        wrong = [text for text in FALSE if compileCondition(encode(text))(FakeContext())]
        self.assertEqual(wrong, [])

    def test_errors(self) -> None:
        """What can't be understood names the place and what would have been right."""
        for text, message, column in ERRORS:
            error = self.assertRaises(ExpressionError, compileCondition, encode(text))
            self.assertIn(message, error.message, text)
            if column is not None:
                self.assertEqual(error.column, column, text)

    def test_vary(self) -> None:
        """A request header that was looked at is told to the context; req_novary is not."""
        context = FakeContext()
        compileCondition(b"false && -n req('A') || -n %{req:B} || -n req_novary('C')")(context)
        self.assertEqual(context.vary, [b"B"])
        # A comparison looks at its right side first, as httpd is compiled.
        for operator in (b"==", b"-eq", b"-strmatch"):
            context = FakeContext()
            compileCondition(b"%{req:A} " + operator + b" %{req:B}")(context)
            self.assertEqual(context.vary, [b"B", b"A"])
        context = FakeContext()
        compileCondition(b"'x' in { %{req:A}, 'x', %{req:B} }")(context)
        self.assertEqual(context.vary, [b"B"])

    @given(st.text(alphabet="!'\"(){}%$:.,-=~/mtrueand Rin\\0", max_size=40))
    def test_junk(self, text: str) -> None:
        """Any text either compiles, and then evaluates to a truth value, or has an error."""
        try:
            condition = compileCondition(encode(text))
        except ExpressionError as error:
            self.assertTrue(1 <= error.column <= len(text) + 1, (text, error.column))
        else:
            self.assertIn(condition(FakeContext()), (True, False))


class StringTests(SynchronousTestCase):
    """Tests for :func:`compileString`."""

    def test_values(self) -> None:
        """These are the values that httpd makes."""
        for text, condition, expected in VALUES:
            context = FakeContext()
            self.assertTrue(compileCondition(encode(condition))(context), condition)
            value = compileString(encode(text)).evaluate(context)
            self.assertEqual(value, encode(expected), (condition, text))

    def test_constant(self) -> None:
        """A text without variables is known to be constant."""
        self.assertEqual(compileString(b"a\\101").constant, b"aA")
        self.assertIsNone(compileString(b"a%{HTTP_HOST}").constant)
        self.assertIsNone(compileString(b"$1").constant)

    def test_errors(self) -> None:
        """What is no variable is an error in a text too, and so is a backslash at its end."""
        for text in ("%{NONE}", "a%{HTTP_HOST", "%{none:a}", "%{}", "%{HTTP:}", "a\\", "\\"):
            self.assertRaises(ExpressionError, compileString, encode(text))


class TableTests(SynchronousTestCase):
    """Tests for the tables of variables, functions and operators."""

    def test_documented(self) -> None:
        """Each row has a line of documentation, and stands under its own name."""
        for table in (VARIABLES, FUNCTIONS, UNARY, BINARY):
            for name, row in table.items():
                self.assertEqual(row.name, name)
                self.assertTrue(row.doc, name)

    def test_variablesNeverFail(self) -> None:
        """A variable that a request does not have is the empty word."""
        for name in VARIABLES:
            self.assertIsInstance(compileString(b"%{" + name + b"}").evaluate(FakeContext()), bytes)
