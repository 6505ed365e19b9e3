package transfer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// The JSON form of an entry is one object on one line, with these names and no others:
//
//	key           text           the key, or
//	key_base64    text           its bytes in base64
//	value         text           the value, or
//	value_base64  text           its bytes in base64
//	expires_at    text           when it expires, as RFC 3339; or
//	              whole number   the same in milliseconds since 1970; or null: never
//	ttl_ms        whole number   in place of expires_at, how long it lives from now on
//
// A dump writes key and value as text where they are text, and in base64 otherwise; expires_at only for a key that
// expires, as RFC 3339 in UTC with milliseconds, or as a number for times after the year 9999, which RFC 3339 can't
// write; never ttl_ms. parseJSON and AppendJSON are the only functions that know this.
//
// Text is what parseJSON gives back exactly: valid UTF-8. encoding/json would replace what isn't, and lone surrogates
// such as \ud800, by U+FFFD without a word; here they are errors, and so are names that are unknown or come twice.

const jsonExample = `{"key":"k","value":"v"}`

// parseJSON reads an entry from its JSON form.
func parseJSON(line []byte, now time.Time) (Entry, error) {
	if err := validJSON(line); err != nil {
		return Entry{}, err
	}
	var m members
	for name, raw := range walk(line) {
		if err := m.set(name, raw, now); err != nil {
			return Entry{}, err
		}
	}
	switch {
	case !m.hasKey:
		return Entry{}, errors.New(`no "key"; give the key as "key" or "key_base64"`)
	case !m.hasValue:
		return Entry{}, errors.New(`no "value"; give the value as "value" or "value_base64"`)
	}
	return m.Entry, nil
}

// validJSON demands one JSON object whose texts mean what they say.
func validJSON(line []byte) error {
	if !utf8.Valid(line) {
		return errors.New(`not valid UTF-8; write bytes that are no text as "key_base64" and "value_base64"`)
	}
	if !json.Valid(line) {
		err := json.Unmarshal(line, new(any))
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			return fmt.Errorf("not JSON: %w at byte %d of the line; an entry looks like %s", err, syntax.Offset, jsonExample)
		}
		return fmt.Errorf("not JSON: %w; an entry looks like %s", err, jsonExample)
	}
	if line[skipSpace(line, 0)] != '{' {
		return fmt.Errorf("%s is JSON, but no object; an entry looks like %s", excerpt(line), jsonExample)
	}
	if at := loneSurrogate(line); at >= 0 {
		return fmt.Errorf(`%s at byte %d is half of a character; write bytes that are no text as "key_base64" and "value_base64"`, line[at:at+6], at+1)
	}
	return nil
}

// members collects what the names of an object say.
type members struct {
	Entry
	hasKey, hasValue, hasExpiry bool
}

// set takes one member.
func (m *members) set(name string, raw []byte, now time.Time) error {
	var has *bool
	switch name {
	case "key", "key_base64":
		has = &m.hasKey
	case "value", "value_base64":
		has = &m.hasValue
	case "expires_at", "ttl_ms":
		has = &m.hasExpiry
	default:
		return fmt.Errorf(`unknown name %s; use "key" or "key_base64", "value" or "value_base64", and "expires_at" or "ttl_ms"`, excerpt(name))
	}
	if *has {
		return fmt.Errorf("%q says again what another name has said; drop one of them", name)
	}
	*has = true
	if err := m.parse(name, raw, now); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return nil
}

// parse stores the value of a member.
func (m *members) parse(name string, raw []byte, now time.Time) (err error) {
	switch name {
	case "key":
		m.Key, err = parseText(raw)
	case "key_base64":
		var key []byte
		key, err = parseBase64(raw)
		m.Key = string(key)
	case "value":
		var value string
		value, err = parseText(raw)
		m.Value = []byte(value)
	case "value_base64":
		m.Value, err = parseBase64(raw)
	case "expires_at":
		m.Expires, err = parseTime(raw)
	case "ttl_ms":
		m.Expires, err = parseTTL(raw, now)
	}
	return err
}

func parseText(raw []byte) (string, error) {
	if raw[0] != '"' {
		return "", fmt.Errorf("%s is no text; put it in quotes", excerpt(raw))
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err
}

func parseBase64(raw []byte) ([]byte, error) {
	if raw[0] != '"' {
		return nil, fmt.Errorf("%s is no text; put the base64 in quotes", excerpt(raw))
	}
	var bytes []byte
	if err := json.Unmarshal(raw, &bytes); err != nil {
		return nil, fmt.Errorf("not base64 with the letters of RFC 4648, + and /, and padding: %w", err)
	}
	return bytes, nil
}

// firstMilli is the earliest time that is taken for milliseconds, in 1973: the same number of seconds is in 5138.
const firstMilli = 100_000_000_000

func parseTime(raw []byte) (time.Time, error) {
	if string(raw) == "null" {
		return time.Time{}, nil
	}
	if raw[0] != '"' {
		ms, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || ms < firstMilli {
			return time.Time{}, fmt.Errorf("%s is no time in milliseconds since 1970; are these seconds? Or write it as 2030-01-31T12:00:00Z", excerpt(raw))
		}
		return time.UnixMilli(ms), nil
	}
	text, err := parseText(raw)
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.UnixMilli() <= 0 {
		return time.Time{}, fmt.Errorf("%s is no time after 1970 as RFC 3339 writes it; write for example 2030-01-31T12:00:00Z", excerpt(text))
	}
	return at, nil
}

func parseTTL(raw []byte, now time.Time) (time.Time, error) {
	ms, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || ms <= 0 || ms > ttlMax {
		return time.Time{}, fmt.Errorf("%s is no time to live; write a whole number of milliseconds from 1 to %d", excerpt(raw), int64(ttlMax))
	}
	return time.UnixMilli(now.UnixMilli() + ms), nil
}

// ttlMax is more than any now can make overflow: 140 million years.
const ttlMax = 1 << 62

// walk yields the names and the raw values of a valid JSON object. A value that is itself an object or an array is
// yielded as its first byte, and is the last: no member may be one.
func walk(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		at := skipSpace(object, skipSpace(object, 0)+1)
		for object[at] != '}' {
			end := scalarEnd(object, at)
			var name string
			if json.Unmarshal(object[at:end], &name) != nil {
				return // can't be: the whole is valid
			}
			at = skipSpace(object, skipSpace(object, end)+1) // the colon
			end = scalarEnd(object, at)
			if !yield(name, object[at:end]) || object[at] == '{' || object[at] == '[' {
				return
			}
			if at = skipSpace(object, end); object[at] == ',' {
				at = skipSpace(object, at+1)
			}
		}
	}
}

func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t' || b[at] == '\r' || b[at] == '\n') {
		at++
	}
	return at
}

// scalarEnd returns where the text, number or word that begins at `at` ends.
func scalarEnd(b []byte, at int) int {
	switch b[at] {
	case '{', '[':
		return at + 1
	case '"':
		for at++; b[at] != '"'; at++ {
			if b[at] == '\\' {
				at++
			}
		}
		return at + 1
	}
	for at < len(b) && b[at] != ',' && b[at] != '}' && b[at] > ' ' {
		at++
	}
	return at
}

// loneSurrogate returns where an escaped half of a surrogate pair stands without the other half, or -1. In valid JSON
// backslashes stand in texts only, and four digits behind \u.
func loneSurrogate(b []byte) int {
	for at := 0; at < len(b); at++ {
		if b[at] != '\\' {
			continue
		}
		if at++; b[at] != 'u' {
			continue
		}
		unit := escapedUnit(b[at+1:])
		switch {
		case unit>>11 != 0xD800>>11:
		case unit < 0xDC00 && at+6 < len(b) && b[at+5] == '\\' && b[at+6] == 'u' && escapedUnit(b[at+7:])>>10 == 0xDC00>>10:
			at += 6 // a pair
		default:
			return at - 1
		}
		at += 4
	}
	return -1
}

// escapedUnit returns the UTF-16 code unit that four hexadecimal digits stand for.
func escapedUnit(digits []byte) uint64 {
	unit, err := strconv.ParseUint(string(digits[:4]), 16, 16)
	if err != nil {
		return 0 // can't be: the whole is valid
	}
	return unit
}

// AppendJSON appends the JSON form of an entry and a newline.
func AppendJSON(dst []byte, e *Entry) []byte {
	dst = slices.Grow(dst, (len(e.Key)+len(e.Value))*4/3+128)
	dst = append(dst, '{')
	dst = appendBytes(dst, "key", []byte(e.Key))
	dst = append(dst, ',')
	dst = appendBytes(dst, "value", e.Value)
	if !e.Expires.IsZero() {
		dst = append(dst, `,"expires_at":`...)
		dst = appendTime(dst, e.Expires.UTC())
	}
	return append(dst, '}', '\n')
}

// appendBytes appends a member, as text or in base64.
func appendBytes(dst []byte, name string, value []byte) []byte {
	dst = append(append(dst, '"'), name...)
	if !isText(value) {
		dst = append(dst, `_base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, value)
		return append(dst, '"')
	}
	dst = append(dst, `":"`...)
	for _, c := range value {
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\t':
			dst = append(dst, '\\', 't')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// isText reports whether bytes read well as text: UTF-8, of the control characters only tabs and ends of lines.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 || unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' {
			return false
		}
		b = b[size:]
	}
	return true
}

func appendTime(dst []byte, at time.Time) []byte {
	if at.Year() > 9999 {
		return strconv.AppendInt(dst, at.UnixMilli(), 10)
	}
	dst = append(dst, '"')
	dst = at.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	return append(dst, '"')
}
