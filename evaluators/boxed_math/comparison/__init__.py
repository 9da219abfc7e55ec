"""Whether two parsed answers are one: values, sets, intervals and equations."""
