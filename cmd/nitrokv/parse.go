package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The functions below make the set function of an option: they parse a text and store the result.

var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

// parseSize reads a number of bytes such as 4096, 64KiB, 1.5GiB or 10 MB. Units are matched in any case.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGBkmgbiI ")
	unit := strings.TrimSpace(text[len(digits):])
	// ParseInt and ParseFloat take signs, hexadecimal and infinities, which are no sizes.
	plain := strings.Trim(digits, "0123456789.") == ""
	for _, u := range sizeUnits {
		if !plain || !strings.EqualFold(unit, u.name) {
			continue
		}
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n <= math.MaxInt64/int64(u.bytes) {
			return n * int64(u.bytes), nil
		}
		if f, err := strconv.ParseFloat(digits, 64); err == nil && f*u.bytes < math.MaxInt64 {
			return int64(f * u.bytes), nil
		}
	}
	return 0, errors.New("not a size; write for example 4096, 64KiB, 512MiB or 2GiB")
}

func sizeTo(dst *int64) func(string) error {
	return func(text string) (err error) {
		n, err := parseSize(text)
		if err == nil {
			*dst = n
		}
		return err
	}
}

// intTo stores a number from low to high.
func intTo(dst *int, low, high int) func(string) error {
	return func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return fmt.Errorf("not a whole number from %d to %d", low, high)
		}
		*dst = n
		return nil
	}
}

// countTo stores a number of things, from 0.
func countTo(dst *int64) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return errors.New("not a whole number; write for example 1000000")
		}
		*dst = n
		return nil
	}
}

func floatTo(dst *float64) func(string) error {
	return func(text string) error {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return errors.New("not a number; write for example 0.5")
		}
		*dst = f
		return nil
	}
}

func durationTo(dst *time.Duration) func(string) error {
	return func(text string) error {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return errors.New("not a duration; write for example 500ms, 30s or 5m")
		}
		*dst = d
		return nil
	}
}

func boolTo(dst *bool) func(string) error {
	return func(text string) error {
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("neither true nor false")
		}
		*dst = b
		return nil
	}
}

func textTo(dst *string) func(string) error {
	return func(text string) error {
		*dst = text
		return nil
	}
}

// wordTo stores one of a few words.
func wordTo(dst *string, words ...string) func(string) error {
	return func(text string) error {
		for _, w := range words {
			if strings.EqualFold(text, w) {
				*dst = w
				return nil
			}
		}
		return fmt.Errorf("unknown; use %s", strings.Join(words, ", "))
	}
}

// workloadTo stores the letter of a workload of YCSB.
func workloadTo(dst *string) func(string) error {
	word := wordTo(dst, "a", "b", "c", "d", "f")
	return func(text string) error {
		if strings.EqualFold(text, "e") {
			*dst = "e" // which the benchmark refuses with the reason
			return nil
		}
		return word(text)
	}
}

// positive refuses the zero that set has stored in dst.
func positive[T int64 | time.Duration](set func(string) error, dst *T) func(string) error {
	return func(text string) error {
		if err := set(text); err != nil {
			return err
		}
		if *dst == 0 {
			return errors.New("must be more than 0")
		}
		return nil
	}
}
