package repl

import (
	"testing"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

func text(s string) resp.Value        { return resp.Value{Kind: resp.Bulk, Text: s} }
func number(n int64) resp.Value       { return resp.Value{Kind: resp.Int, Int: n} }
func list(e ...resp.Value) resp.Value { return resp.Value{Kind: resp.Array, Elems: e} }
func dict(e ...resp.Value) resp.Value { return resp.Value{Kind: resp.Map, Elems: e} }

// The forms of redis-cli 7, on a terminal and elsewhere.
func TestFormat(t *testing.T) {
	ten := list(number(1), number(2), number(3), number(4), number(5), number(6), number(7), number(8), number(9), list(number(10), number(11)))
	for _, test := range []struct {
		name        string
		v           resp.Value
		pretty, raw string
	}{
		{"status", resp.Value{Kind: resp.Status, Text: "OK"}, "OK\n", "OK\n"},
		{"error", resp.Value{Kind: resp.Error, Text: "ERR no"}, "(error) ERR no\n", "(error) ERR no\n"},
		{"number", number(-1), "(integer) -1\n", "-1\n"},
		{"nothing", resp.Value{Kind: resp.Null}, "(nil)\n", "\n"},
		{"double", resp.Value{Kind: resp.Double, Text: "1.5"}, "(double) 1.5\n", "1.5\n"},
		{"big number", resp.Value{Kind: resp.BigNumber, Text: "123"}, "(big number) 123\n", "123\n"},
		{"true", resp.Value{Kind: resp.Bool, Int: 1}, "(true)\n", "(true)\n"},
		{"false", resp.Value{Kind: resp.Bool}, "(false)\n", "(false)\n"},
		{"bytes", text("a\"\\\n\r\t\a\b\x00\xff é"), `"a\"\\\n\r\t\a\b\x00\xff é"` + "\n", "a\"\\\n\r\t\a\b\x00\xff é\n"},
		{"invisible", text("a\u202eb\u200bc\u0085"), `"a\xe2\x80\xaeb\xe2\x80\x8bc\xc2\x85"` + "\n", "a\u202eb\u200bc\u0085\n"},
		{"newline", text("a\n"), `"a\n"` + "\n", "a\n\n"},
		{"text", resp.Value{Kind: resp.Verbatim, Text: "a\r\nb\x1b[2J\r\n"}, "a\nb\\x1b[2J\n", "a\r\nb\x1b[2J\r\n"},
		{"hostile status", resp.Value{Kind: resp.Status, Text: "\x1b[2J"}, "\\x1b[2J\n", "\x1b[2J\n"},
		{"empty list", list(), "(empty array)\n", "\n"},
		{"empty map", dict(), "(empty hash)\n", "\n"},
		{"empty set", resp.Value{Kind: resp.Set}, "(empty set)\n", "\n"},
		{"empty push", resp.Value{Kind: resp.Push}, "(empty push)\n", "\n"},
		{"list", list(text("a"), resp.Value{Kind: resp.Null}), "1) \"a\"\n2) (nil)\n", "a\n\n"},
		{"nested", list(number(1), list(number(2), list(list()), text("x"))),
			"1) (integer) 1\n2) 1) (integer) 2\n   2) 1) (empty array)\n   3) \"x\"\n", "1\n2\n\nx\n"},
		{"ten", ten, " 1) (integer) 1\n 2) (integer) 2\n 3) (integer) 3\n 4) (integer) 4\n 5) (integer) 5\n 6) (integer) 6\n 7) (integer) 7\n" +
			" 8) (integer) 8\n 9) (integer) 9\n10) 1) (integer) 10\n    2) (integer) 11\n", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n"},
		{"set", resp.Value{Kind: resp.Set, Elems: []resp.Value{text("a"), text("b")}}, "1~ \"a\"\n2~ \"b\"\n", "a\nb\n"},
		{"push", resp.Value{Kind: resp.Push, Elems: []resp.Value{text("a")}}, "1> \"a\"\n", "a\n"},
		{"map", dict(text("a"), number(1), text("b"), list(number(2), number(3)), text("c"), list(number(4))),
			"1# \"a\" => (integer) 1\n2# \"b\" => \n   1) (integer) 2\n   2) (integer) 3\n3# \"c\" => 1) (integer) 4\n", "a 1\nb 2\n3\nc 4\n"},
		{"map of maps", dict(text("a"), dict(text("b"), dict(text("c"), number(1), text("d"), number(2)))),
			"1# \"a\" => \n   1# \"b\" => \n      1# \"c\" => (integer) 1\n      2# \"d\" => (integer) 2\n", "a b c 1\nd 2\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := pretty(test.v); got != test.pretty {
				t.Errorf("pretty %q\nwant   %q", got, test.pretty)
			}
			if got := raw(test.v); got != test.raw {
				t.Errorf("raw %q, want %q", got, test.raw)
			}
		})
	}
}
