// Package timetable holds times that come again, written as cron expressions:
// the schedules that start executions and the windows in which deployments may
// be made. It knows two forms: the five fields of crontab(5), and the six or
// seven of a CodePipeline DeploymentWindow, which count Sunday as 1 and know L,
// W and #. It is pure: it asks no clock, and knows no pipelines.
package timetable

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// maxText bounds an expression, in bytes.
const maxText = 200

// Timetable is a set of minutes. The zero value holds none.
type Timetable struct {
	// The bits of the values that match; see cron.SpecSchedule.
	minute, hour, month uint64
	// day tells whether a day is in the set, whatever its month.
	day      func(date time.Time) bool
	year     func(year int) bool
	location *time.Location
}

// Parse reads an expression, and the time zone in which its fields are meant;
// see Zone. Errors say what is wrong with which field.
func Parse(expression, zone string) (Timetable, error) {
	location, err := Zone(zone)
	if err != nil {
		return Timetable{}, err
	}
	fields, err := split(expression)
	if err != nil {
		return Timetable{}, err
	}
	t := Timetable{location: location, year: anyYear}
	if len(fields) == 5 {
		return t.crontab(fields)
	}
	return t.window(fields)
}

// ParseSchedule is Parse for the five fields of crontab(5) alone.
func ParseSchedule(expression, zone string) (Timetable, error) {
	if fields, err := split(expression); err == nil && len(fields) != 5 {
		return Timetable{}, fmt.Errorf("it has %d fields, and a schedule has five: minute, hour, day (of the month), month, day of the week", len(fields))
	}
	return Parse(expression, zone)
}

func split(expression string) ([]string, error) {
	if len(expression) > maxText {
		return nil, fmt.Errorf("it has %d characters, the most is %d", len(expression), maxText)
	}
	fields := strings.Fields(expression)
	if n := len(fields); n < 5 || n > 7 {
		return nil, fmt.Errorf("it has %d fields: write minute, hour, day of the month, month and day of the week, or put seconds before them and, if you like, a year behind", n)
	}
	return fields, nil
}

// crontab makes a timetable of five fields. When both the day of the month and
// that of the week are restricted, either is enough.
func (t Timetable) crontab(fields []string) (Timetable, error) {
	spec, err := bits(strings.Join(fields, " "))
	if err != nil {
		return t, err
	}
	t.minute, t.hour, t.month = spec.Minute, spec.Hour, spec.Month
	t.day = func(date time.Time) bool {
		dom, dow := has(spec.Dom, date.Day()), has(spec.Dow, int(date.Weekday()))
		if spec.Dom&star != 0 || spec.Dow&star != 0 {
			return dom && dow
		}
		return dom || dow
	}
	return t, nil
}

// star marks the bits of a field that is not restricted.
const star = 1 << 63

// bits reads five fields. The parser takes more than these, and falls over
// some of it, so nothing else may reach it.
func bits(text string) (*cron.SpecSchedule, error) {
	if strings.ContainsAny(text, "=@") {
		return nil, fmt.Errorf("%q is not made of numbers, names, and the signs * , - /", text)
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	schedule, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	spec, ok := schedule.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("it names no fields")
	}
	if spec.Minute == 0 || spec.Hour == 0 || spec.Dom == 0 || spec.Month == 0 || spec.Dow == 0 {
		return nil, fmt.Errorf("a field of %q names nothing", text)
	}
	return spec, nil
}

func has(bits uint64, value int) bool { return bits&(1<<uint(value)) != 0 }

func anyYear(int) bool { return true }

// Holds tells whether the minute that an instant lies in is in the timetable.
func (t Timetable) Holds(at time.Time) bool {
	if t.day == nil {
		return false
	}
	at = at.In(t.location)
	return has(t.minute, at.Minute()) && has(t.hour, at.Hour()) && t.holdsDay(at)
}

func (t Timetable) holdsDay(at time.Time) bool {
	return has(t.month, int(at.Month())) && t.day(at) && t.year(at.Year())
}

// lastYear is where looking for a next time ends; CodePipeline's years end
// there too. The whole way takes some milliseconds.
const lastYear = 2199

// Next is the first minute after an instant that is in the timetable, or ok ==
// false when none comes any more. A minute that clocks skip does not come, and
// one that they repeat comes twice.
func (t Timetable) Next(after time.Time) (next time.Time, ok bool) {
	if t.day == nil {
		return time.Time{}, false
	}
	at := after.In(t.location).Truncate(time.Minute).Add(time.Minute)
	for at.Year() <= lastYear {
		tomorrow := midnight(at)
		if t.holdsDay(at) {
			for ; at.Before(tomorrow); at = at.Add(time.Minute) {
				if t.Holds(at) {
					return at, true
				}
			}
		}
		at = tomorrow
	}
	return time.Time{}, false
}

// midnight is the beginning of the day after: not always at 0:00, and not
// always 24 hours long.
func midnight(at time.Time) time.Time {
	next := time.Date(at.Year(), at.Month(), at.Day()+1, 0, 0, 0, 0, at.Location())
	if !next.After(at) {
		return at.Add(time.Hour)
	}
	return next
}

// furthest is how far Closes looks ahead.
const furthest = 14 * 24 * time.Hour

// Closes is when the run of minutes that an instant lies in ends: the instant
// itself when the timetable does not hold it, and ok == false when the run goes
// on for two weeks or more.
func (t Timetable) Closes(at time.Time) (end time.Time, ok bool) {
	if !t.Holds(at) {
		return at, true
	}
	end = at.In(t.location).Truncate(time.Minute)
	for t.Holds(end) {
		if end = end.Add(time.Minute); end.Sub(at) > furthest {
			return end, false
		}
	}
	return end, true
}
