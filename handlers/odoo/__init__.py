"""Odoo: a firm's ERP. The people of the firm are its partners, by an external id made of the UGID."""
