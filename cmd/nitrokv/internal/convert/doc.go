// Package convert makes a data folder of another mode with the contents of an existing one. It is what "nitrokv convert"
// does.
//
//	job := convert.Job{From: "data", To: "/srv/new", Mode: engine.ModeBitcask}
//	totals, err := job.Run(ctx)
//
// # How
//
// The origin is opened as a start opens it, without any background work, and walked once; every live key goes with its value
// and its expiry into a store beside the new name, in batches. What has been read is summed up in a content hash on the way.
// Then that store is stopped, opened again as the server will open it, and summed up itself. Only if both are the same it
// gets its name, so a folder of that name is whole, whatever happens; if anything fails before, all that was made is removed.
//
// # Memory
//
// Of mode bitcask only the keys are in memory, of both folders while they are filled, and one batch of values: some MiB, or
// the largest value. Of mode memory everything is.
//
// # Keys that expire meanwhile
//
// A key may be there when the origin is read, and gone when the copy is. The sums (sum.go) are kept apart by expiry, so those
// that can have expired are told from those that are missing.
package convert
