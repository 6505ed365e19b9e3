package server

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that must not be seen: however it is printed, logged or marshalled, a mask comes out. Only a
// conversion to string shows it.
type Secret string

const secretMask = "***"

// String is the mask, or empty for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return secretMask
}

// Format writes the mask for every verb, %#v and %d too.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String()) // fmt keeps what is written; it cannot fail
}

// LogValue is the mask, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is the mask, for encoders like JSON's.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
