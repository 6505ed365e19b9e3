package repl

import (
	"strings"
	"testing"
)

// JSON that splitting takes apart is explained, with the caret under the first quote, or the bracket, and the whole line
// to type. The form, typed, must be split into what was meant.
func TestExplainJSON(t *testing.T) {
	for _, test := range []struct {
		line string
		at   int // byte; -1: no JSON to explain
		form string
	}{
		{`SET k {"a": "b c"}`, 7, `SET k '{"a": "b c"}'`},
		{`SET k {"a":1}`, 7, `SET k '{"a":1}'`},
		{`SET k [1, 2]`, 6, `SET k '[1, 2]'`},
		{`SET k ["a", {"b": []}] EX 10`, 7, `SET k '["a", {"b": []}]' EX 10`},
		{`MSET a {"x": 1} b {"y": 2}`, 8, `MSET a '{"x": 1}' b '{"y": 2}'`},
		{`SET k {"a": "it's"}`, 7, `SET k '{"a": "it\'s"}'`},
		{`SET k {"a": "}\""}  `, 7, `SET k '{"a": "}\""}'  `},
		{`SET k {a: 1}`, 6, `SET k '{a: 1}'`},
		{`SET k { }`, 6, `SET k '{ }'`},
		{`SET k {"a": "b c"`, 6, ""},
		{`SET k {"a": "b c}`, 6, ""},
		{`SET k {"a"]`, 6, ""},
		{`SET k {"a": 1}x`, 6, ""},
		{`SET k '{"a": "b c"}'`, -1, ""},
		{`SET k "{\"a\": 1}"`, -1, ""},
		{`SET k {}`, -1, ""},
		{`SET k [1,2]`, -1, ""},
		{`KEYS [ab]*`, -1, ""},
		{`SET k [hello world`, -1, ""},
		{`SET k "unclosed`, -1, ""},
		{`SET k x{"a"`, -1, ""},
		{`GET k`, -1, ""},
		{``, -1, ""},
	} {
		got := explainJSON(test.line)
		switch {
		case test.at < 0 && got == nil:
		case test.at < 0 || got == nil:
			t.Errorf("%s: %+v", test.line, got)
		case got.at != test.at || got.form != test.form:
			t.Errorf("%s: caret %d, form %s; want %d, %s", test.line, got.at, got.form, test.at, test.form)
		case got.form != "":
			if _, wrong := tokenise(got.form); wrong != nil || explainJSON(got.form) != nil {
				t.Errorf("%s: the form %s can't be typed either: %v", test.line, got.form, wrong)
			}
		}
	}
}

func TestFormKeepsTheJSON(t *testing.T) {
	for _, json := range []string{`{"a": "b c"}`, `["it's", "a\\", "\""]`, `{"a\\": "\\'"}`, `[ ]`} {
		c := explainJSON("SET k " + json + " EX 5")
		if c == nil || c.form == "" {
			t.Errorf("%s is not explained: %+v", json, c)
			continue
		}
		tokens, wrong := tokenise(c.form)
		if wrong != nil || strings.Join(texts(tokens), "|") != "SET|k|"+json+"|EX|5" {
			t.Errorf("%s: the form %s means %q, %v", json, c.form, texts(tokens), wrong)
		}
	}
}

func TestCaret(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, test := range []struct {
		line string
		at   int
		want string
	}{
		{`SET k "a`, 6, "  SET k \"a\n        ^\n"},
		{"SET\tk \"a", 6, "  SET k \"a\n        ^\n"},
		{`SET ключ "a`, 13, "  SET ключ \"a\n           ^\n"},
		{`SET 键 "a`, 8, "  SET 键 \"a\n         ^\n"},
		{long + `"` + long, 100, "  …" + long[:50] + `"` + long[:24] + "…\n   " + strings.Repeat(" ", 50) + "^\n"},
	} {
		if got := (&complaint{at: test.at}).show(test.line); got != test.want {
			t.Errorf("%q:\n%s\nwant\n%s", test.line, got, test.want)
		}
	}
}
