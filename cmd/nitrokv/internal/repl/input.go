package repl

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// What a terminal sends around pasted text, once it is asked to (bracketed paste).
const (
	pasteBegins = "\x1b[200~"
	pasteEnds   = "\x1b[201~"
)

// Characters that stand for others while a line is edited. They are from Unicode's noncharacters, which no text contains.
const (
	// pastedTab is a tab in pasted text: one that is typed asks for completions.
	pastedTab = '\uFDD0'

	// pastedLong to pastedLast are one long piece of pasted text each. The line editor looks at the whole line after each
	// character, so that a hundred thousand of them would take minutes.
	pastedLong = '\uFDD1'
	pastedLast = '\uFDEF'
)

// longPiece is how many bytes of a pasted line become one character.
const longPiece = 200

// askPosition is the question where the cursor is. The line editor asks it in front of each prompt and waits for the
// answer, for ever if there is none, as from many programs that pretend to be terminals.
const askPosition = "\x1b[6n"

// An input is what the line editor reads instead of the terminal. It makes pasted text safe and quick: its tabs complete
// nothing, its control characters do nothing, and long pieces of it are kept aside. It answers askPosition itself: a prompt
// always begins a line.
type input struct {
	terminal io.Reader

	mu      sync.Mutex                          // guards the fields below
	answers int                                 // to askPosition, that are due
	aside   [pastedLast - pastedLong + 1]string // pieces by their characters; free places are empty

	// Of Read alone.
	ready   []byte // translated and not yet read
	marker  []byte // what may become pasteBegins or pasteEnds
	pasting bool
	cr      bool   // the last pasted byte was a CR
	piece   []byte // of a pasted line, so far
}

// Read reads at least one byte. What one read of the terminal has cut a character off from waits for the next one, so that
// no answer gets into its middle.
func (in *input) Read(b []byte) (int, error) {
	for in.runes() == 0 {
		if in.takeAnswer() {
			in.ready = append([]byte("\x1b[1;1R"), in.ready...)
			break
		}
		var some [4096]byte
		n, err := in.terminal.Read(some[:])
		for _, c := range some[:n] {
			in.translate(c)
		}
		if err != nil && in.runes() == 0 {
			if len(in.ready) == 0 {
				return 0, err
			}
			return in.take(b, len(in.ready)), nil // the terminal ends inside a character
		}
	}
	return in.take(b, in.runes()), nil
}

// runes is how many bytes of what is ready are whole characters, or can't become any.
func (in *input) runes() int {
	n := len(in.ready)
	for at := n - 1; at >= max(0, n-utf8.UTFMax); at-- {
		if utf8.RuneStart(in.ready[at]) {
			if !utf8.FullRune(in.ready[at:]) {
				return at
			}
			break
		}
	}
	return n
}

func (in *input) take(b []byte, n int) int {
	n = copy(b, in.ready[:n])
	in.ready = in.ready[:copy(in.ready, in.ready[n:])]
	return n
}

func (in *input) takeAnswer() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.answers == 0 {
		return false
	}
	in.answers--
	return true
}

// asked notes that the editor waits for the cursor's position.
func (in *input) asked() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.answers++
}

// translate passes one byte on, unless it belongs to a marker or has no place in pasted text. Bytes that turn out not to
// be a marker are passed on with the byte that shows it.
func (in *input) translate(c byte) {
	if c == '\x1b' || len(in.marker) > 0 {
		if c == '\x1b' {
			in.pass(in.marker)
			in.marker = in.marker[:0]
		}
		in.marker = append(in.marker, c)
		switch {
		case string(in.marker) == pasteBegins:
			in.pasting, in.cr = true, false
		case string(in.marker) == pasteEnds:
			in.pasting = false
			in.endPiece()
		case bytes.HasPrefix([]byte(pasteBegins), in.marker), bytes.HasPrefix([]byte(pasteEnds), in.marker):
			return
		default:
			in.pass(in.marker)
		}
		in.marker = in.marker[:0]
		return
	}
	in.pass([]byte{c})
}

// pass makes bytes ready. In pasted text every kind of line end is one Enter.
func (in *input) pass(b []byte) {
	for _, c := range b {
		afterCR := in.cr
		in.cr = in.pasting && c == '\r'
		switch {
		case !in.pasting:
			in.ready = append(in.ready, c)
		case c == '\n' && !afterCR, c == '\r':
			in.endPiece()
			in.ready = append(in.ready, '\r')
		case c == '\t', c >= ' ' && c != 0x7f:
			in.piece = append(in.piece, c)
		}
	}
}

// endPiece makes what a pasted line consists of ready: as it is, or as one character if it is long, or not UTF-8, of which
// the line editor would keep nothing.
func (in *input) endPiece() {
	if at := in.freePlace(); at >= 0 && (len(in.piece) >= longPiece || !utf8.Valid(in.piece)) {
		in.mu.Lock()
		in.aside[at] = string(in.piece)
		in.mu.Unlock()
		in.ready = utf8.AppendRune(in.ready, pastedLong+rune(at))
	} else {
		in.ready = append(in.ready, bytes.ReplaceAll(in.piece, []byte("\t"), []byte(string(pastedTab)))...)
	}
	in.piece = in.piece[:0]
}

func (in *input) freePlace() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Index(in.aside[:], "")
}

// whole is a line that was edited, with the text that its characters stand for. Their places are free again.
func (in *input) whole(line string) string {
	in.mu.Lock()
	defer in.mu.Unlock()
	var text strings.Builder
	for _, r := range line {
		switch {
		case r == pastedTab:
			text.WriteByte('\t')
		case r >= pastedLong && r <= pastedLast:
			text.WriteString(in.aside[r-pastedLong])
		default:
			text.WriteRune(r)
		}
	}
	for _, r := range line {
		if r >= pastedLong && r <= pastedLast {
			in.aside[r-pastedLong] = ""
		}
	}
	return text.String()
}

// paint is how such characters are shown.
func paint(line []rune, _ int) []rune {
	shown := make([]rune, len(line))
	for i, r := range line {
		switch {
		case r == pastedTab:
			r = ' '
		case r >= pastedLong && r <= pastedLast:
			r = '…'
		}
		shown[i] = r
	}
	return shown
}

// An output is the terminal as the line editor writes to it: its question for the cursor's position goes to the input.
type output struct {
	terminal io.Writer
	in       *input
}

func (o *output) Write(b []byte) (int, error) {
	if string(b) == askPosition {
		o.in.asked()
		return len(b), nil
	}
	return o.terminal.Write(b)
}
