package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestItems: every key once with its value and its expiry, whatever the sizes, and nothing that has gone.
func TestItems(t *testing.T) { everyMode(t, items) }

func items(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{ManualSteps: true, Level: LevelNever})
	expire := time.UnixMilli(s.Now()).Add(time.Hour)
	want := map[string]string{"": "the empty key", "empty": "", "large": strings.Repeat("large", itemKeep/4)}
	for i := range 1000 {
		want[fmt.Sprint("key ", i)] = strings.Repeat(fmt.Sprint(i, "."), i%50)
	}
	for key, value := range want {
		_, err := s.SetWith([]byte(key), []byte(value), SetOptions{Expire: expire})
		must(t, err)
	}
	must(t, s.Set([]byte("deleted"), nil))
	must(t, s.Delete([]byte("deleted")))
	found := map[string]bool{}
	for item, err := range s.Items() {
		must(t, err)
		key := string(item.Key)
		value, there := want[key]
		if !there || found[key] || string(item.Value) != value || item.Bytes != uint64(len(value)) || item.Version == 0 || !item.Expire.Equal(expire) {
			t.Fatalf("%q (seen before: %v): %.40q, %+v; want %.40q", key, found[key], item.Value, item.Info, value)
		}
		found[key] = true
	}
	if len(found) != len(want) {
		t.Errorf("%d items, want %d", len(found), len(want))
	}
	for range s.Items() {
		break // and no more
	}
}

// TestItemsMeetDamage: the key is named, and those behind it come.
func TestItemsMeetDamage(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{ManualSteps: true})
	for i := range 100 {
		must(t, s.Set(fmt.Appendf(nil, "key %d", i), []byte(strings.Repeat(fmt.Sprintf("<%d>", i), 20))))
	}
	must(t, s.Sync(t.Context()))
	flip(t, dir, strings.Repeat("<7>", 20))
	good, bad := 0, ""
	for item, err := range s.Items() {
		if err == nil {
			good++
			continue
		}
		wantErr(t, "the damaged one", err, ErrCorrupt)
		bad += string(item.Key)
	}
	if good != 99 || bad != "key 7" {
		t.Errorf("%d items are whole, %q is not", good, bad)
	}
	must(t, s.Close())
	for _, err := range s.Items() {
		wantErr(t, "items of a closed store", err, ErrClosed)
	}
}
