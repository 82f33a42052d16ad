package look

func note(text string) string {
	if text == "" {
		return ""
	}
	return ", " + text
}

// role is how a notice is read out: what went wrong at once, the rest when there
// is time.
func role(tone Tone) string {
	if tone == Bad {
		return "alert"
	}
	return "status"
}

func kind(of string) string {
	if of == "" {
		return "text"
	}
	return of
}
