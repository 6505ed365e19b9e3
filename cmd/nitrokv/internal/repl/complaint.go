package repl

import (
	"strings"

	"golang.org/x/text/width"
)

// A complaint is about a place in a line.
type complaint struct {
	at   int    // byte of the line
	text string // what is wrong, and what to do
	form string // the line as it should be typed, or empty
}

// show is the line with a caret under the place, and the form to type. Of a long line only what is around the place is
// shown.
func (c *complaint) show(line string) string {
	const before, after = 50, 25
	text := []rune(line)
	at := len([]rune(line[:c.at]))
	front, back := "", ""
	if at > before {
		front, text, at = "…", text[at-before:], before
	}
	if len(text) > at+after {
		text, back = text[:at+after], "…"
	}
	head := front + plain(string(text[:at]))
	shown := "  " + head + plain(string(text[at:])) + back + "\n  " + strings.Repeat(" ", columns(head)) + "^\n"
	if c.form != "" {
		shown += "type: " + c.form + "\n"
	}
	return shown
}

// plain makes one column of each control character.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// columns is how many columns of a terminal a text takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			n++
		}
		n++
	}
	return n
}
