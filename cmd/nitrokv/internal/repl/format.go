package repl

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

// pretty shows a reply to people, as redis-cli does on a terminal: "quoted" strings, (integer) 1, (nil), lists with
// numbers. It ends with a newline.
func pretty(v resp.Value) string {
	return indented(v, "")
}

// writePretty writes a value whose further lines begin with the indent.
func writePretty(text *strings.Builder, v resp.Value, indent string) {
	switch v.Kind {
	case resp.Status:
		text.WriteString(harmless(v.Text))
	case resp.Error:
		text.WriteString("(error) " + harmless(v.Text))
	case resp.Verbatim:
		text.WriteString(strings.TrimSuffix(harmless(v.Text), "\n"))
	case resp.Bulk:
		text.WriteString(quoted(v.Text))
	case resp.Int:
		text.WriteString("(integer) " + strconv.FormatInt(v.Int, 10))
	case resp.Double:
		text.WriteString("(double) " + v.Text)
	case resp.BigNumber:
		text.WriteString("(big number) " + v.Text)
	case resp.Bool:
		text.WriteString(boolText(v))
	case resp.Null:
		text.WriteString("(nil)")
	default:
		writeElems(text, v, indent)
		return
	}
	text.WriteByte('\n')
}

// aggregate describes the kinds of values with elements: what stands behind an element's number, and what an empty one is.
func aggregate(kind byte) (mark, empty string) {
	switch kind {
	case resp.Map:
		return "#", "(empty hash)"
	case resp.Set:
		return "~", "(empty set)"
	case resp.Push:
		return ">", "(empty push)"
	}
	return ")", "(empty array)"
}

// writeElems numbers the elements. The first one stands on the line of what the value belongs to.
func writeElems(text *strings.Builder, v resp.Value, indent string) {
	mark, empty := aggregate(v.Kind)
	if len(v.Elems) == 0 {
		text.WriteString(empty + "\n")
		return
	}
	step := 1
	if v.Kind == resp.Map {
		step = 2
	}
	width := len(strconv.Itoa(len(v.Elems) / step))
	inner := indent + strings.Repeat(" ", width+2)
	for i := 0; i+step <= len(v.Elems); i += step {
		if i > 0 {
			text.WriteString(indent)
		}
		fmt.Fprintf(text, "%*d%s ", width, i/step+1, mark)
		if v.Kind == resp.Map {
			text.WriteString(strings.TrimSuffix(indented(v.Elems[i], inner), "\n") + " => ")
		}
		elem := indented(v.Elems[i+step-1], inner)
		if v.Kind == resp.Map && strings.Count(elem, "\n") > 1 {
			text.WriteString("\n" + inner)
		}
		text.WriteString(elem)
	}
}

// indented is a value inside another one.
func indented(v resp.Value, indent string) string {
	var text strings.Builder
	writePretty(&text, v, indent)
	return text.String()
}

// raw shows a reply to programs, as redis-cli does when its output is no terminal: the bytes of a value and a newline,
// one line for each element. Errors are marked all the same, and text for people has its last newline once.
func raw(v resp.Value) string {
	switch v.Kind {
	case resp.Error:
		return "(error) " + v.Text + "\n"
	case resp.Verbatim:
		return strings.TrimSuffix(v.Text, "\n") + "\n"
	}
	return rawText(v) + "\n"
}

func rawText(v resp.Value) string {
	switch v.Kind {
	case resp.Null:
		return ""
	case resp.Int:
		return strconv.FormatInt(v.Int, 10)
	case resp.Bool:
		return boolText(v)
	case resp.Array, resp.Set, resp.Push:
		lines := make([]string, len(v.Elems))
		for i, e := range v.Elems {
			lines[i] = rawText(e)
		}
		return strings.Join(lines, "\n")
	case resp.Map:
		var lines []string
		for i := 0; i+1 < len(v.Elems); i += 2 {
			lines = append(lines, rawText(v.Elems[i])+" "+rawText(v.Elems[i+1]))
		}
		return strings.Join(lines, "\n")
	}
	return v.Text
}

func boolText(v resp.Value) string {
	if v.Int != 0 {
		return "(true)"
	}
	return "(false)"
}

// quoted shows any bytes inside "…" in such a way that typing it gives the same bytes. Letters of all scripts are shown as
// they are; what is not UTF-8 or not printable, and what only changes how text is shown, becomes \xHH.
func quoted(s string) string {
	var text strings.Builder
	text.WriteByte('"')
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		writeEscaped(&text, s[i:i+size], r, "\"\\\n\r\t\a\b")
		i += size
	}
	text.WriteByte('"')
	return text.String()
}

// harmless takes the control characters out of text that a server writes for people, but for its lines and tabs: a
// terminal would obey them.
func harmless(s string) string {
	var text strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n' || r == '\t':
			text.WriteRune(r)
		case r == '\r' && strings.HasPrefix(s[i:], "\r\n"):
		default:
			writeEscaped(&text, s[i:i+size], r, "")
		}
		i += size
	}
	return text.String()
}

// writeEscaped writes one character; those of special get a backslash and a letter.
func writeEscaped(text *strings.Builder, s string, r rune, special string) {
	switch {
	case strings.ContainsRune(special, r):
		letters := map[rune]byte{'\n': 'n', '\r': 'r', '\t': 't', '\a': 'a', '\b': 'b', '"': '"', '\\': '\\'}
		text.WriteByte('\\')
		text.WriteByte(letters[r])
	case r == utf8.RuneError && len(s) == 1, !unicode.IsPrint(r):
		for i := range len(s) {
			fmt.Fprintf(text, `\x%02x`, s[i])
		}
	default:
		text.WriteString(s)
	}
}
