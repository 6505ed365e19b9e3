package proto

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The engine's header is the list that everything else follows: same names, codes and texts here, and a
// row for each in the specification.
func TestStatusesMirrorTheEngine(t *testing.T) {
	header, err := os.ReadFile("../engine/nitro.h")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^\s*X\((\w+), (0x[0-9a-fA-F]+), "([^"]*)"\)`).FindAllSubmatch(header, -1)
	if len(list) != len(statuses) {
		t.Errorf("nitro.h has %d codes, this package %d", len(list), len(statuses))
	}
	for _, e := range list {
		name, text := string(e[1]), string(e[3])
		code, err := strconv.ParseUint(string(e[2]), 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		s := Status(code)
		if s.String() != name || s.Error() != text {
			t.Errorf("%#02x is %q %q here, %q %q in nitro.h", code, s.String(), s.Error(), name, text)
		}
		row := fmt.Sprintf("| %02x | %s | %s |", code, name, text)
		if !strings.Contains(strings.ToLower(string(spec)), strings.ToLower(row)) {
			t.Errorf("PROTOCOL.md has no row %q", row)
		}
	}
}

func TestOpcodesAreSpecified(t *testing.T) {
	spec, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for op, info := range ops {
		if row := fmt.Sprintf("| %02X | %s |", uint8(op), info.name); !strings.Contains(string(spec), row) {
			t.Errorf("PROTOCOL.md has no row %q", row)
		}
	}
}

func TestStatusOfANewerServer(t *testing.T) {
	s := Status(0x4E)
	if s.Known() || s.Class() != ClassNotApplied {
		t.Errorf("%#02x: known %v, class %v", uint8(s), s.Known(), s.Class())
	}
	if want := "not applied, try again (unknown status 0x4e)"; s.Error() != want {
		t.Errorf("text %q, want %q", s.Error(), want)
	}
	if got := Status(0xF1).Class().String(); got != "class 15, outcome unknown" {
		t.Errorf("class of 0xF1: %q", got)
	}
	if err := error(&FrameError{Status: EFLAG}); !errors.Is(err, EFLAG) || errors.Is(err, EFRAME) {
		t.Error("a FrameError must match its own status only")
	}
}
