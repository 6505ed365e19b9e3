package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestConsoleHoldsUntilReleased(t *testing.T) {
	var out bytes.Buffer
	c := &console{w: &out}
	fmt.Fprintln(c, "one")
	if out.Len() > 0 {
		t.Errorf("written before the release: %q", out.String())
	}
	if err := c.release(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(c, "two")
	c.progress(1, 2) // no terminal: no bar
	if out.String() != "one\ntwo\n" {
		t.Errorf("got %q", out.String())
	}
}

// Log lines appear above the bar, and the bar goes when all is loaded.
func TestConsoleBar(t *testing.T) {
	var out bytes.Buffer
	c := &console{w: &out, terminal: true}
	c.progress(0, 100) // before the release there is nothing to see
	if err := c.release(); err != nil || out.Len() > 0 {
		t.Fatalf("%v, %q", err, out.String())
	}
	c.progress(50, 100)
	bar := c.bar
	fmt.Fprintln(c, "a line")
	c.progress(100, 100)
	fmt.Fprintln(c, "loaded")
	want := eraseLine + bar + eraseLine + "a line\n" + bar + eraseLine + "loaded\n"
	if bar == "" || out.String() != want {
		t.Errorf("bar %q, got %q, want %q", bar, out.String(), want)
	}
}

func TestBarText(t *testing.T) {
	for _, test := range []struct {
		done, total uint64
		elapsed     time.Duration
		want        string
	}{
		{0, 1000, 5 * time.Second, "loading [>" + strings.Repeat(" ", 29) + "]   0 %"},
		{512, 1024, 0, "loading [" + strings.Repeat("=", 15) + ">" + strings.Repeat(" ", 14) + "]  50 %"},
		{1 << 30, 4 << 30, 3 * time.Second, "loading [=======>" + strings.Repeat(" ", 22) + "]  25 %, 9s left"},
		{999, 1000, time.Minute, "loading [" + strings.Repeat("=", 29) + ">]  99 %, 0s left"},
	} {
		if got := barText("loading", test.done, test.total, test.elapsed); got != test.want {
			t.Errorf("%d of %d: %q, want %q", test.done, test.total, got, test.want)
		}
	}
}

func TestSizeText(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 3 << 20: "3.0 MiB", 5 << 29: "2.5 GiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
