package timetable

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	// seconds may be anything that seconds can be: a window is as long as the
	// minutes that it names, and CodePipeline takes no other value than * today.
	seconds     = regexp.MustCompile(`^[0-9*,/-]+$`)
	beforeEnd   = regexp.MustCompile(`^L(?:-([0-9]{1,2}))?$`)
	nearWeekday = regexp.MustCompile(`^([0-9]{1,2})W$`)
	lastOfMonth = regexp.MustCompile(`^([0-9A-Z]{1,3})L$`)
	nthOfMonth  = regexp.MustCompile(`^([0-9A-Z]{1,3})#([1-5])$`)
	weekdays    = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

// window makes a timetable of a CodePipeline DeploymentWindow's six or seven
// fields: seconds, minutes, hours, day of the month, the month, day of the week
// and, if there is one, year.
func (t Timetable) window(fields []string) (Timetable, error) {
	for i := range fields {
		fields[i] = strings.ToUpper(fields[i])
	}
	dom, dow := fields[3], fields[5]
	if !seconds.MatchString(fields[0]) {
		return t, fmt.Errorf("the seconds are %q, and windows begin with whole minutes: write *", fields[0])
	}
	if !open(dom) && !open(dow) {
		return t, fmt.Errorf("both the day of the month (%s) and the day of the week (%s) are restricted: write ? for one of them", dom, dow)
	}
	spec, err := bits(fmt.Sprintf("%s %s * %s *", fields[1], fields[2], fields[4]))
	if err != nil {
		return t, err
	}
	t.minute, t.hour, t.month = spec.Minute, spec.Hour, spec.Month
	if open(dow) {
		t.day, err = dayOfMonth(dom)
	} else {
		t.day, err = dayOfWeek(dow)
	}
	if err == nil && len(fields) == 7 {
		t.year, err = years(fields[6])
	}
	return t, err
}

// open tells that a field restricts nothing.
func open(field string) bool { return field == "*" || field == "?" }

func dayOfMonth(field string) (func(time.Time) bool, error) {
	if m := beforeEnd.FindStringSubmatch(field); m != nil {
		before, _ := strconv.Atoi(m[1]) // nothing is 0
		return func(date time.Time) bool { return date.Day() == lastDay(date)-before }, nil
	}
	if field == "LW" {
		return func(date time.Time) bool { return date.Day() == nearest(date, lastDay(date)) }, nil
	}
	if m := nearWeekday.FindStringSubmatch(field); m != nil {
		day, _ := strconv.Atoi(m[1])
		if day < 1 || day > 31 {
			return nil, fmt.Errorf("there is no day %d in any month", day)
		}
		return func(date time.Time) bool { return day <= lastDay(date) && date.Day() == nearest(date, day) }, nil
	}
	spec, err := bits("* * " + field + " * *")
	if err != nil {
		return nil, err
	}
	return func(date time.Time) bool { return has(spec.Dom, date.Day()) }, nil
}

// lastDay is the number of days of the month that a date lies in.
func lastDay(date time.Time) int {
	return time.Date(date.Year(), date.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// nearest is the day from Monday to Friday that is nearest to a day of the
// month, within that month.
func nearest(date time.Time, day int) int {
	last := lastDay(date)
	switch time.Date(date.Year(), date.Month(), day, 0, 0, 0, 0, time.UTC).Weekday() {
	case time.Saturday:
		if day == 1 {
			return 3
		}
		return day - 1
	case time.Sunday:
		if day == last {
			return day - 2
		}
		return day + 1
	}
	return day
}

func dayOfWeek(field string) (func(time.Time) bool, error) {
	if field == "L" {
		field = "7"
	}
	if m := lastOfMonth.FindStringSubmatch(field); m != nil {
		weekday, err := weekday(m[1])
		return func(date time.Time) bool { return date.Weekday() == weekday && date.Day()+7 > lastDay(date) }, err
	}
	if m := nthOfMonth.FindStringSubmatch(field); m != nil {
		weekday, err := weekday(m[1])
		nth, _ := strconv.Atoi(m[2])
		return func(date time.Time) bool { return date.Weekday() == weekday && (date.Day()+6)/7 == nth }, err
	}
	shifted, err := shiftWeekdays(field, -1)
	if err != nil {
		return nil, err
	}
	spec, err := bits("* * * * " + shifted)
	if err != nil {
		return nil, err
	}
	return func(date time.Time) bool { return has(spec.Dow, int(date.Weekday())) }, nil
}

// weekday is a day of the week by its name, or its number from 1 for Sunday.
func weekday(name string) (time.Weekday, error) {
	for i, w := range weekdays {
		if name == w || name == strconv.Itoa(i+1) {
			return time.Weekday(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no day of the week: write 1 to 7, where 1 is Sunday, or SUN to SAT", name)
}

// shiftWeekdays adds to the numbers of days of the week in a field, but not to
// its steps, which follow a slash.
func shiftWeekdays(field string, by int) (string, error) {
	lowest := max(0, by)
	parts := strings.Split(field, ",")
	for i, part := range parts {
		days, step, stepped := strings.Cut(part, "/")
		ends := strings.Split(days, "-")
		for j, end := range ends {
			n, err := strconv.Atoi(end)
			if err != nil {
				continue // a name or *
			}
			if n += by; n < lowest || n > lowest+6 {
				return "", fmt.Errorf("%s is no day of the week", end)
			}
			ends[j] = strconv.Itoa(n)
		}
		parts[i] = strings.Join(ends, "-")
		if stepped {
			parts[i] += "/" + step
		}
	}
	return strings.Join(parts, ","), nil
}

// years reads the field of years: numbers, ranges and steps.
func years(field string) (func(int) bool, error) {
	if open(field) {
		return anyYear, nil
	}
	wrong := fmt.Errorf("%q are no years: write them like 2026, 2026-2028 or 2026/2, up to %d", field, lastYear)
	set := map[int]bool{}
	for part := range strings.SplitSeq(field, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		from, to, ranged := strings.Cut(span, "-")
		if span == "*" {
			from, to, ranged = "1970", strconv.Itoa(lastYear), true
		}
		step := 1
		var err error
		if stepped {
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > lastYear {
				return nil, wrong
			}
		}
		first, err := strconv.Atoi(from)
		if err != nil {
			return nil, wrong
		}
		last := first
		switch {
		case ranged:
			if last, err = strconv.Atoi(to); err != nil {
				return nil, wrong
			}
		case stepped:
			last = lastYear
		}
		if first < 1970 || last > lastYear || first > last {
			return nil, wrong
		}
		for year := first; year <= last; year += step {
			set[year] = true
		}
	}
	return func(year int) bool { return set[year] }, nil
}

// Window is an expression in the form of a CodePipeline DeploymentWindow:
// seconds, minutes, hours, day of the month, the month, day of the week. One that
// is in that form already stays as it is; one in the form of crontab(5) is
// changed to mean the same. CodePipeline cannot say that either of two days is
// enough: that is an error.
func Window(expression string) (string, error) {
	fields, err := split(expression)
	if err != nil || len(fields) != 5 {
		return expression, err
	}
	if _, err := Parse(expression, ""); err != nil {
		return "", err
	}
	dom, dow := fields[2], fields[4]
	switch {
	case !open(dom) && !open(dow):
		return "", fmt.Errorf("both the day of the month (%s) and the day of the week (%s) are restricted: write * for one of them", dom, dow)
	case open(dow):
		dow = "?"
		dom = strings.ReplaceAll(dom, "?", "*") // one of the two must be *
	default:
		dom = "?"
		if dow, err = shiftWeekdays(dow, +1); err != nil {
			return "", err
		}
	}
	return strings.Join([]string{"*", fields[0], fields[1], dom, fields[3], dow}, " "), nil
}
