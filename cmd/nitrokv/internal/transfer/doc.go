// Package transfer moves many keys at once: from a file or another server into a NitroKV server, and out of one into a
// file. It is what "nitrokv load" and "nitrokv dump" do.
//
//	src := transfer.NewLines(file, "users.jsonl", size, transfer.Auto)
//	totals, err := transfer.NewLoad(src, client, transfer.Options{Timeout: 10 * time.Second}).Run(ctx)
//
// # The format
//
// A file has one entry a line, in either of two forms; ParseLine tells them apart.
//
//	KEY<TAB>VALUE
//	{"key":"session:1","value":"{\"user\":42}","expires_at":"2030-01-31T12:00:00.250Z"}
//
// The first is literal: the first tab divides, nothing is escaped, so neither part can hold a newline and the key no
// tab. The second is JSON, with key_base64 and value_base64 in place of key and value where they are not text. A dump
// is written in JSON; jsonline.go has the rules for both directions.
//
// # How a load works
//
// A [Source] yields entries one after the other. A [Load] hands each to one of many goroutines, chosen by a hash of the
// key, which calls Set of the client: many writes are under way at once, the client packs them into few packets, and
// the entries of one key still take effect in their order, so that the last one stays. What is under way is bounded in
// number and in bytes. An interruption ends the reading, not the writes under way, so it can be said exactly how far
// the load has come.
//
// # Failures
//
// What is wrong with one entry is an [EntryError] and says where the entry is. It ends the load, unless KeepGoing is
// set; what is wrong with the server or the file always does. The client repeats only writes that surely were not
// applied.
package transfer
