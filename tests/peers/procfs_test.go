package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	tests := []struct {
		name, stat string
		want       time.Duration
	}{
		{"plain", "42 (server) S 1 42 42 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 9", 2 * time.Second},
		{"a name with a parenthesis and spaces", "42 (a) b) S 1 42 42 0 -1 4194304 1 2 3 4 1 2 0 0 20 0 9", 30 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStat([]byte(tt.stat))
			if err != nil || got != tt.want {
				t.Errorf("parseStat = %v, %v; want %v", got, err, tt.want)
			}
		})
	}
	for _, bad := range []string{"", "42 (short) S 1 2", "42 (x) S 1 2 3 4 5 6 7 8 9 10 user system 13 14"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q) = %v, want an error", bad, got)
		}
	}
}

// TestCPUTimeGrows: the clock advances by about the CPU time that this process burns.
func TestCPUTimeGrows(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const burn = 50 * time.Millisecond
	deadline := time.Now().Add(time.Minute)
	for {
		now, err := cpuTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now-before >= burn {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a minute of work counted as %v of CPU time", now-before)
		}
	}
}

func TestResidentBytesOfThisProcess(t *testing.T) {
	held, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(held)
	before, err := residentBytes(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	after, err := residentBytes(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// Half of it, because the runtime may give some of its own memory back meanwhile.
	if grown := after - before; grown < int64(len(held))/2 {
		t.Errorf("touching %d bytes grew the process by %d", len(held), grown)
	}
}

func TestParseKiB(t *testing.T) {
	const text = "55-66 ---p 00000000 [rollup]\nRss:                1234 kB\nPss:  5 kB\n"
	if got, err := parseKiB([]byte(text), "Rss:", "x"); err != nil || got != 1234<<10 {
		t.Errorf("parseKiB = %d, %v", got, err)
	}
	if _, err := parseKiB([]byte(text), "Swap:", "x"); err == nil || !strings.Contains(err.Error(), "Swap:") {
		t.Errorf("a missing line gave %v", err)
	}
}
