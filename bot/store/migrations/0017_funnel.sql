-- Flows that ended in a turn, each with one word of how, apart by blanks: `signup.opened`. Of it the funnel is made.
ALTER TABLE smarterbot.turns ADD COLUMN ended text NOT NULL DEFAULT '';
