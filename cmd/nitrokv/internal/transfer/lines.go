package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// Format says how the lines of a file are written.
type Format string

// The formats.
const (
	Auto Format = "auto" // each line as it looks: JSON if it begins with {", else text
	Text Format = "text" // KEY<TAB>VALUE
	JSON Format = "json" // a JSON object
)

const (
	// lineMax is the longest line that a dump can write, in bytes: of text, each byte of the longest key and the largest
	// value may need a backslash, which makes two; base64 needs four for three. The names, the marks and the time take
	// about 80.
	lineMax  = 2*(valueMax+proto.KeyMax) + 256
	valueMax = 512 << 20 // of any server, however it is configured

	lineKeep = 1 << 20 // a buffer for lines that grew beyond this is not kept
	readSize = 256 << 10
)

// Lines is a Source that reads a file, an entry a line. Empty lines are passed over.
type Lines struct {
	name   string
	in     *bufio.Reader
	format Format
	size   int64        // of the file; 0: not known
	read   atomic.Int64 // bytes
	number int64        // of the latest line
	long   []byte       // a line that is longer than the reader's buffer
	max    int          // bytes of a line
}

// NewLines reads from r, which messages call name. size is how many bytes there are, or 0 if that isn't known.
func NewLines(r io.Reader, name string, size int64, f Format) *Lines {
	return &Lines{name: name, in: bufio.NewReaderSize(r, readSize), format: f, size: size, max: lineMax}
}

// Place implements Source.
func (l *Lines) Place(e *Entry) string { return l.at(e.Line) }

func (l *Lines) at(line int64) string { return fmt.Sprintf("%s:%d", l.name, line) }

// Progress implements Source; the unit is bytes.
func (l *Lines) Progress() (done, total int64) { return l.read.Load(), l.size }

// Entries implements Source.
func (l *Lines) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for ctx.Err() == nil {
			line, err := l.next()
			switch {
			case errors.Is(err, errLineTooLong):
				err = &EntryError{l.at(l.number), fmt.Errorf("%w %d MiB, which no entry needs; is a newline missing?", err, l.max>>20)}
			case err == io.EOF || err != nil && ctx.Err() != nil:
				return
			case err != nil:
				yield(Entry{}, fmt.Errorf("read %s after line %d: %w", l.name, l.number, err))
				return
			case len(line) == 0:
				continue
			}
			if l.number == 1 && err == nil {
				if line, err = withoutMark(line); err != nil {
					yield(Entry{}, fmt.Errorf("read %s: %w", l.name, err))
					return
				}
			}
			var e Entry
			if err == nil {
				if e, err = ParseLine(line, l.format, time.Now()); err != nil {
					err = &EntryError{l.at(l.number), err}
				}
			}
			e.Line = l.number
			if !yield(e, err) {
				return
			}
		}
	}
}

var errLineTooLong = errors.New("the line is longer than")

// withoutMark takes the mark off the front of a file that spreadsheets and editors put there; in UTF-8 it says nothing. A
// key that begins with these bytes can be written as key_base64.
func withoutMark(line []byte) ([]byte, error) {
	if bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff")) {
		return nil, errors.New("this is UTF-16; convert it to UTF-8, for example with: iconv -f UTF-16 -t UTF-8")
	}
	return bytes.TrimPrefix(line, []byte("\ufeff")), nil
}

// next returns the next line without its newline, borrowed until the next call. A line that is too long is read to its
// end and given up. The error is io.EOF when there is no further line; the last one needs no newline.
func (l *Lines) next() ([]byte, error) {
	if cap(l.long) > lineKeep {
		l.long = nil
	}
	l.long = l.long[:0]
	tooLong := false
	for first := true; ; first = false {
		part, err := l.in.ReadSlice('\n')
		l.read.Add(int64(len(part)))
		if err == io.EOF && first && len(part) == 0 {
			return nil, io.EOF
		}
		if first {
			l.number++
		}
		if err != nil && err != bufio.ErrBufferFull && err != io.EOF {
			l.number-- // this line was not read; the message names the one before
			return nil, err
		}
		whole := err != bufio.ErrBufferFull
		part = bytes.TrimSuffix(part, []byte{'\n'})
		if first && whole {
			return part, nil
		}
		if tooLong = tooLong || len(l.long)+len(part) > l.max; !tooLong {
			l.long = append(l.long, part...)
		}
		if whole && tooLong {
			return nil, errLineTooLong
		}
		if whole {
			return l.long, nil
		}
	}
}

// ParseLine reads the entry that a line holds. It keeps nothing of the line. now is what a time to live counts from.
func ParseLine(line []byte, f Format, now time.Time) (Entry, error) {
	if f == JSON || f == Auto && looksLikeJSON(line) {
		return parseJSON(line, now)
	}
	key, value, found := bytes.Cut(line, []byte{'\t'})
	if !found {
		return Entry{}, fmt.Errorf("no tab in %s; write the key, a tab and the value, or a JSON object such as %s", excerpt(line), jsonExample)
	}
	return Entry{Key: string(key), Value: bytes.Clone(value)}, nil
}

// looksLikeJSON tells an object from a key that begins with a brace, as those for Redis Cluster do: {user}:1.
func looksLikeJSON(line []byte) bool {
	rest, brace := bytes.CutPrefix(bytes.TrimLeft(line, " "), []byte{'{'})
	rest = bytes.TrimLeft(rest, " ")
	return brace && len(rest) > 0 && (rest[0] == '"' || rest[0] == '}')
}

// excerpt quotes the beginning of something that may be long.
func excerpt[T []byte | string](text T) string {
	const shown = 40
	if len(text) > shown {
		return fmt.Sprintf("%q…", text[:shown])
	}
	return fmt.Sprintf("%q", text)
}
