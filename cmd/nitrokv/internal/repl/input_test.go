package repl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

const tab = string(pastedTab)

// Typed keys pass as they are; in pasted text tabs are marked, line ends are one Enter, and other control characters go.
func TestInput(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"keys", "GET k\r\t\x03\x12\x7f", "GET k\r\t\x03\x12\x7f"},
		{"arrows and others", "\x1b[A\x1b[3~\x1bf\x1b[1;3D\x1b[2~\x1bOH", "\x1b[A\x1b[3~\x1bf\x1b[1;3D\x1b[2~\x1bOH"},
		{"two escapes", "\x1b\x1b[Ax", "\x1b\x1b[Ax"},
		{"paste", "a\x1b[200~b\tc\x1b[201~\td", "ab" + tab + "c\td"},
		{"line ends", "\x1b[200~a\rb\nc\r\nd\r\re\n\n\x1b[201~", "a\rb\rc\rd\r\re\r\r"},
		{"CR before the paste", "\r\x1b[200~\na\x1b[201~", "\r\ra"},
		{"control characters", "\x1b[200~a\x03\x04\x12\x7fb\x1bc\x1b[Ad\x00\x1b[201~\x03", "abc[Ad\x03"},
		{"almost a marker", "\x1b[200x\x1b[20\x1b[200~\x1b[201x\x1b[201~\t", "\x1b[200x\x1b[20[201x\t"},
		{"letters of all scripts", "é\x1b[200~é日\x1b[201~日", "éé日日"},
		{"end without a beginning", "a\x1b[201~b", "ab"},
	} {
		for _, r := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
			got, err := io.ReadAll(&input{terminal: r})
			if err != nil || string(got) != test.want {
				t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
			}
		}
	}
}

// Long pieces of pasted text are one character each, as long as there are characters; the line is whole again in the end.
func TestLongPaste(t *testing.T) {
	long := strings.Repeat("é\t", longPiece)
	var typed, want strings.Builder
	for i := range 40 {
		piece := fmt.Sprint(i, long)
		typed.WriteString("\x1b[200~" + piece + "\x1b[201~,")
		want.WriteString(piece + ",")
	}
	in := &input{terminal: strings.NewReader(typed.String())}
	for range 2 { // the places are free again
		line, err := io.ReadAll(in)
		if err != nil || in.whole(string(line)) != want.String() {
			t.Fatalf("%d of %d bytes, %v", len(in.whole(string(line))), want.Len(), err)
		}
		if n := len([]rune(string(line))); n > 40+9*(len(long)+3) {
			t.Errorf("%d characters to edit", n)
		}
		in.terminal = strings.NewReader(typed.String())
	}
	in.terminal = strings.NewReader("\x1b[200~" + strings.Repeat("a", longPiece-1) + "\r" + strings.Repeat("b", longPiece) + "\x1b[201~c")
	if line, err := io.ReadAll(in); err != nil || string(line) != strings.Repeat("a", longPiece-1)+"\r\uFDD1c" {
		t.Errorf("%q, %v", line, err)
	}
	in.terminal = strings.NewReader("\x1b[200~\xff\xfe\x1b[201~c")
	if line, err := io.ReadAll(in); err != nil || in.whole(string(line)) != "\xff\xfec" {
		t.Errorf("%q, %v", line, err)
	}
	if got := string(paint([]rune("a\uFDD0b\uFDD1c\uFDEF"), 0)); got != "a b…c…" {
		t.Errorf("shown as %q", got)
	}
}

// The question for the cursor never reaches the terminal, and is answered before anything else is waited for.
func TestPositionIsAnswered(t *testing.T) {
	var screen bytes.Buffer
	in := &input{terminal: iotest.ErrReader(errors.New("waited for the terminal"))}
	out := &output{&screen, in}
	for _, s := range []string{"a", askPosition, "b", askPosition} {
		if n, err := io.WriteString(out, s); n != len(s) || err != nil {
			t.Errorf("%q: %d, %v", s, n, err)
		}
	}
	var b [100]byte
	for range 2 {
		if n, err := in.Read(b[:]); err != nil || string(b[:n]) != "\x1b[1;1R" {
			t.Errorf("%q, %v", b[:n], err)
		}
	}
	if n, err := in.Read(b[:]); err == nil {
		t.Errorf("%q", b[:n])
	}
	if screen.String() != "ab" {
		t.Errorf("%q", screen.String())
	}
}

// The terminal gives half of a character before the prompt, and the other half behind it.
func TestAnswerBesideACutCharacter(t *testing.T) {
	for at := 1; at < len("日"); at++ {
		in := &input{terminal: io.MultiReader(strings.NewReader("a日"[:1+at]), strings.NewReader("a日b\xe6"[1+at:]))}
		out := &output{io.Discard, in}
		var got []string
		var b [100]byte
		for {
			n, err := in.Read(b[:])
			if err != nil {
				break
			}
			got = append(got, string(b[:n]))
			if len(got) == 1 {
				if _, err := io.WriteString(out, askPosition); err != nil {
					t.Fatal(err)
				}
			}
		}
		if want := []string{"a", "\x1b[1;1R", "日b", "\xe6"}; !slices.Equal(got, want) {
			t.Errorf("cut at %d: %q, want %q", at, got, want)
		}
	}
}

// A reader may ask for less than there is.
func TestInputInSmallPieces(t *testing.T) {
	in := &input{terminal: strings.NewReader("\x1b[200~\t\t\x1b[201~abc")}
	got, err := io.ReadAll(iotest.OneByteReader(in))
	if err != nil || string(got) != tab+tab+"abc" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestScript(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	var prompts bytes.Buffer
	for _, to := range []io.Writer{nil, &prompts} {
		s := NewScript(strings.NewReader("a\n\nb\r\n"+long+"\nlast"), to)
		for _, want := range []string{"a", "", "b\r", long, "last"} {
			if line, err := s.ReadCommand("> "); err != nil || line != want {
				t.Errorf("%.20q, %v; want %.20q", line, err, want)
			}
		}
		if line, err := s.ReadText("... "); err != io.EOF {
			t.Errorf("%q, %v", line, err)
		}
	}
	if prompts.String() != "> > > > > ... " {
		t.Errorf("%q", prompts.String())
	}
	broken := errors.New("broken")
	if line, err := NewScript(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), nil).ReadCommand(""); !errors.Is(err, broken) {
		t.Errorf("half a line is taken for a whole one: %q, %v", line, err)
	}
	if _, err := NewScript(strings.NewReader("a\n"), full{}).ReadCommand("> "); err == nil {
		t.Error("a prompt that nobody sees")
	}
}
