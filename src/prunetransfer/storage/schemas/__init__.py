"""The columns of the study's tables, a module for each subject: a stage depends on those that it reads or writes."""
